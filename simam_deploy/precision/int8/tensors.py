"""Tensor by tensor: is each one quantised, and as well as its samples let one expect?

An activation's scale may lose what `spread` says. A weight is off by half a step of its format's at
most, the scale being that of its channel's largest, or of its tensor's where that has one scale.
Every other weight is the same, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.core.validation import LayerCheck
from simam_deploy.precision.int8.formats import Format
from simam_deploy.precision.int8.pairs import weight_scales
from simam_deploy.precision.int8.placement import Placement, name_of
from simam_deploy.precision.int8.spread import Spread

_SLACK = 1 + 2.0**-10
"""For float32's own rounding of x / scale."""


RANGE = "range"
"""The kind of a check that samples may fail, however right the conversion is."""


def check_tensors(
    original: ir.Model,
    candidate: ir.Model,
    placement: Placement,
    spreads: Mapping[str, Spread] | None,
    ranges: Mapping[str, float] | None,
) -> tuple[LayerCheck, ...]:
    """Check every quantised tensor and every weight.

    Args:
        original: The float32 graph.
        candidate: The int8 graph.
        placement: What is to be quantised.
        spreads: What the float32 network has at the placement's tensors, by name; None where the
            samples are too few to say.
        ranges: What the scales are to be made of; None where nobody states it.

    Returns:
        One check a tensor and a weight that is quantised, and a failed one for whatever else is
        not as it was; their errors in units of what is allowed.
    """
    numbers = placement.numbers
    scales = dict(_scales(candidate, numbers))
    names = [tensor.name or "" for tensor in placement.tensors]
    checks = (
        *_check_layers(placement, candidate),
        *_check_others(placement, candidate),
        *(_check_scale(name, scales.get(name, ()), spreads, ranges, numbers) for name in names),
        *_check_weights(original, candidate, placement),
    )
    return checks or (_wrong("the graph", "has nothing that is to be quantised"),)


def _held(name: str, error: float, allowed: float) -> LayerCheck:
    """Tell an error in units of its bound; beyond a bound of 0 is whatever is not 0."""
    beyond = 0.0 if error == 0 else math.inf
    return LayerCheck(name, "tensor", error / allowed if allowed else beyond, 1.0)


def _wrong(name: str, reason: str) -> LayerCheck:
    return LayerCheck(name, "tensor", math.nan, 1.0, reason)


def _scales(model: ir.Model, numbers: Format) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Give, by tensor, the scale of its QuantizeLinear and of each DequantizeLinear behind it."""
    for node in model.graph:
        if node.op_type == "QuantizeLinear" and node.inputs[0] is not None:
            behind = [use.node for use in node.outputs[0].uses()]
            yield node.inputs[0].name or "", tuple(_scale(n, numbers) for n in (node, *behind))


def _scale(node: ir.Node, numbers: Format) -> float:
    """Read a scalar scale; NaN where it is no such constant, or the zero point is not the 0."""
    scale, *zero = node.inputs[1:]
    for value in zero:
        tensor = value.const_value if value is not None else None
        if tensor is None or tensor.dtype != numbers.dtype or np.any(tensor.numpy()):
            return math.nan
    tensor = scale.const_value if scale is not None else None
    return float(tensor.numpy().item()) if tensor is not None and tensor.size == 1 else math.nan


def _check_layers(placement: Placement, candidate: ir.Model) -> Iterator[LayerCheck]:
    """Every read that the placement wants goes through a pair."""
    nodes = {name_of(node): node for node in candidate.graph}
    for node, index in placement.reads:
        name, wanted = name_of(node), node.inputs[index]
        assert wanted is not None
        if _behind_pair(nodes.get(name), index) != wanted.name:
            reason = f"does not read {wanted.name} through a Q/DQ pair"
            yield _wrong(name, reason)


def _check_others(placement: Placement, candidate: ir.Model) -> Iterator[LayerCheck]:
    """Nothing else is read quantised: of many layers, one too many hardly shows in the outputs."""
    wanted = {(name_of(node), index) for node, index in placement.reads}
    wanted |= {(name_of(layer), 1) for layer in placement.layers}
    for node in candidate.graph:
        for index, value in enumerate(node.inputs):
            producer = value.producer() if value is not None else None
            quantised = producer is not None and producer.op_type == "DequantizeLinear"
            if value is not None and quantised and (name_of(node), index) not in wanted:
                yield _wrong(name_of(node), f"reads {value.name}, and should stay float32")


def _behind_pair(node: ir.Node | None, index: int) -> str | None:
    """Name the tensor that a node reads through a pair."""
    value = node.inputs[index] if node is not None and index < len(node.inputs) else None
    for op_type in ("DequantizeLinear", "QuantizeLinear"):
        producer = value.producer() if value is not None else None
        if producer is None or producer.op_type != op_type:
            return None
        value = producer.inputs[0]
    return value.name if value is not None else None


def _check_scale(
    name: str,
    scales: tuple[float, ...],
    spreads: Mapping[str, Spread] | None,
    ranges: Mapping[str, float] | None,
    numbers: Format,
) -> LayerCheck:
    """Hold a scale against the range that is stated, and what it loses against its bound."""
    scale = scales[0] if scales else math.nan
    if len(scales) < 2 or set(scales) != {scale} or not scale > 0:
        return _wrong(name, f"has scales {scales}: wanted two alike")
    if ranges is not None:
        stated = ranges.get(name, math.nan) / numbers.largest
        check = _held(name, abs(scale - stated), (_SLACK - 1) * stated)
        if spreads is None or not check.passed:
            return check
    assert spreads is not None
    return _check_loss(name, spreads[name], scale)


def _check_loss(name: str, spread: Spread, scale: float) -> LayerCheck:
    """Bound a scale's loss, and that the samples agree on a scale at all."""
    lost = _held(name, spread.loss(scale * spread.numbers.largest), spread.allowed)
    error = max(lost.error_ulps, spread.disagreement)
    return replace(lost, kind=RANGE, error_ulps=error)


def _check_weights(
    reference: ir.Model, candidate: ir.Model, placement: Placement
) -> Iterator[LayerCheck]:
    """Compare every float weight, as it is or dequantised."""
    stored = candidate.graph.initializers
    dequantised = dict(_dequantised(candidate))
    by_tensor = {weight.name: alone for weight, alone in placement.weights.items()}
    for name, value in reference.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT:
            continue
        if name in dequantised:
            alone = by_tensor.get(name, False)
            yield _check_weight(name, tensor.numpy(), dequantised[name], alone, placement.numbers)
        elif name not in stored or not _same(tensor, stored[name].const_value):
            yield _wrong(name, "is missing or not what it was")


@dataclass(frozen=True)
class _Stored:
    """A weight in eight bits: its type, its values as floats, and how many scales it has."""

    dtype: ir.DataType
    floats: Array
    scales: int


def _dequantised(model: ir.Model) -> Iterator[tuple[str, _Stored]]:
    """Give the weights that are stored in eight bits, by their float32 names."""
    for node in model.graph:
        stored = node.inputs[0] if node.op_type == "DequantizeLinear" else None
        if stored is None or stored.const_value is None:
            continue
        scale = node.inputs[1].const_value if node.inputs[1] is not None else None
        if scale is None:
            continue
        steps = stored.const_value.numpy().astype(np.float32)
        name = (stored.name or "").rpartition("/")[0]
        floats = steps * scale.numpy().reshape(-1, *[1] * (steps.ndim - 1))
        yield name, _Stored(stored.const_value.dtype, floats, scale.size)


def _check_weight(
    name: str, weight: Array, got: _Stored, by_tensor: bool, numbers: Format
) -> LayerCheck:
    """Bound the change of each value by half a step of the format where it lies."""
    wanted = weight_scales(weight, by_tensor, numbers)
    if got.dtype != numbers.dtype:
        return _wrong(name, f"is stored in {got.dtype.name}, wanted {numbers.dtype.name}")
    if got.floats.shape != weight.shape:
        return _wrong(name, f"has shape {got.floats.shape}, wanted {weight.shape}")
    if got.scales != wanted.size:
        return _wrong(name, f"has {got.scales} scales, wanted {wanted.size}")
    scales = wanted.reshape(-1, *[1] * (weight.ndim - 1))
    half = numbers.steps(np.abs(weight) / scales) * scales / 2
    return _held(name, float(np.max(np.abs(got.floats - weight) / half)), _SLACK)


def _same(one: ir.TensorProtocol, other: ir.TensorProtocol | None) -> bool:
    return other is not None and np.array_equal(one.numpy(), other.numpy(), equal_nan=True)

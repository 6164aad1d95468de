"""Is an int8 graph its float32 original, but for what eight bits must cost in this network?

Two questions, each with a bound that follows from the float32 graph:

    tensor by tensor   An activation's scale loses at most 1.4 times what the best scale of seven
                       bits would on the values that the float32 network has there: a bit is what
                       calibration on other samples may cost. Correct scales came to 0.4 to 0.96
                       times seven bits, scales off by 4 to 1.9 times and more. A weight is off by
                       half of 1/127 of its channel's largest at most. Every other weight is the
                       same, bit by bit.
    whole outputs      Every quantised tensor of the float32 graph is clipped to its best range and
                       disturbed by half a step, evenly drawn; every quantised weight likewise. The
                       change of an output (RMS, over the RMS of the output) is what int8 must
                       cost. A candidate may cost twice that: one bit again. Correct ones of the
                       published networks came to 0.9 to 1.4 times it.

Both want samples as the network will see them: on others, calibrated ranges are rightly wrong.
Where there are none, the ranges that the manifest states stand in for the best.

What this cannot tell is SimAM's arithmetic. It is float32 in the candidate too: hold its gates
against the formula with `verify.gates.check_gates`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.validation import json_ready
from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.int8.calibrate import tap
from simam_deploy.precision.int8.histogram import LEVELS, Histogram
from simam_deploy.precision.int8.noise import disturb
from simam_deploy.precision.int8.pairs import channel_scales
from simam_deploy.precision.int8.placement import Placement, name_of, place
from simam_deploy.runtime.graph_runner import run_graph

ALLOWED = 2.0
"""Times the expected cost: one bit."""
SEVEN_BITS = 1.4
"""Times the best loss of seven bits."""
FLOOR = 2.0**-20
"""What float32 itself may cost, 8 units: a network can all but ignore its quantised layers."""
DRAWS = 3
"""Of the noise; a network's outputs, hundreds of values over several samples, vary little."""
_SLACK = 1 + 2.0**-10
"""For float32's own rounding of x / scale."""


@dataclass(frozen=True)
class TensorCheck:
    """One quantised tensor, or one weight.

    Attributes:
        name: The float32 graph's.
        error: RMS of what quantising changes; of a weight, the largest change in half steps.
        allowed: The bound on it.
        reason: What is wrong where there is nothing to compare.
    """

    name: str
    error: float
    allowed: float
    reason: str = ""

    @property
    def passed(self) -> bool:
        """True within the bound; NaN is not."""
        return not self.reason and self.error <= self.allowed


@dataclass(frozen=True)
class OutputCost:
    """What int8 costs an output: RMS of the change over RMS of the float32 output.

    Attributes:
        output: Its name.
        cost: The candidate's.
        expected: What noise of half a step costs the float32 graph.
    """

    output: str
    cost: float
    expected: float

    @property
    def allowed(self) -> float:
        """The bound on the cost."""
        return max(FLOOR, ALLOWED * self.expected)

    @property
    def passed(self) -> bool:
        """True within the bound; NaN is not."""
        return self.cost <= self.allowed


@dataclass(frozen=True)
class Verdict:
    """Everything that was checked; `samples` says on how many inputs."""

    samples: int
    outputs: tuple[OutputCost, ...]
    tensors: tuple[TensorCheck, ...]

    @property
    def passed(self) -> bool:
        """True when there was something to check and all of it held."""
        compared = bool(self.outputs and self.tensors)
        return compared and all(o.passed for o in self.outputs) and not self._failed_tensor()

    @property
    def reason(self) -> str:
        """Say in a line what failed first, or nothing; tensors first, for they name a place."""
        for tensor in self.tensors:
            if not tensor.passed:
                found = (
                    tensor.reason or f"is off by {tensor.error:.3g}, allowed {tensor.allowed:.3g}"
                )
                return f"{tensor.name} {found}"
        for output in self.outputs:
            if not output.passed:
                return (
                    f"output {output.output} changes by {output.cost:.2g} of itself; int8 should "
                    f"cost {output.expected:.2g}"
                )
        return "" if self.passed else "nothing was compared"

    def _failed_tensor(self) -> TensorCheck | None:
        return next((tensor for tensor in self.tensors if not tensor.passed), None)

    def to_json(self) -> dict[str, Any]:
        """Give every figure and verdict; None for what is not finite."""
        outputs = [{**asdict(o), "allowed": o.allowed, "passed": o.passed} for o in self.outputs]
        tensors = [{**asdict(t), "passed": t.passed} for t in self.tensors]
        return {
            "passed": self.passed,
            "reason": self.reason,
            "samples": self.samples,
            "outputs": [json_ready(o) for o in outputs],
            "tensors": [json_ready(t) for t in tensors],
        }


def judge(
    reference: Path,
    candidate: Path,
    feeds: Feeds,
    *,
    ranges: Mapping[str, float] | None = None,
    kept: tuple[str, ...] = (),
) -> Verdict:
    """Hold an int8 file against the float32 file that it was made of.

    Args:
        reference: The float32 .onnx, of the same lowering.
        candidate: The int8 .onnx.
        feeds: One array; samples as the network will see them, of which a dozen do, unless
            `ranges` are given.
        ranges: What the manifest's calibration states, by tensor: the scales must then be these,
            whatever the feeds. By default the scales are held against the best on the feeds.
        kept: What `Quantised.kept` says, for layers kept beyond the placement's own rules.

    Returns:
        The verdict.

    Raises:
        InputError: A file cannot be read or run, or there is nothing quantised in the candidate.
    """
    original, quantised = read_model(reference), read_model(candidate)
    placement = _placement(original, kept)
    scales = dict(_scales(quantised))
    if not scales:
        raise InputError(f"{candidate.name} has no Q/DQ pair: it is not quantised")
    names = tuple(t.name or "" for t in placement.tensors)
    inner = _run(reference, feeds, names)
    best = {name: _histogram(values).best_range() for name, values in inner.items()}
    tensors = [
        *_check_layers(placement, quantised),
        *(_check_pair(name, inner[name], scales.get(name, ()), ranges) for name in names),
        *_check_weights(original, quantised),
    ]
    del inner  # the activations of all samples
    outputs = _costs(reference, candidate, feeds, kept, best if ranges is None else ranges)
    return Verdict(len(next(iter(feeds.values()))), outputs, tuple(tensors))


def _placement(model: ir.Model, kept: tuple[str, ...]) -> Placement:
    """Place anew, and leave out the layers that calibration left out."""
    names = {line.partition(" (")[0] for line in kept}
    placement = place(model)
    return replace(
        placement,
        layers=tuple(n for n in placement.layers if name_of(n) not in names),
        reads=tuple(r for r in placement.reads if name_of(r[0]) not in names),
    )


def _run(file: Path, feeds: Feeds, tapped: tuple[str, ...] = ()) -> dict[str, Array]:
    """Run a file, or read the named values of its graph instead of its outputs."""
    model = read_model(file)
    if tapped:
        tap(model, tapped)
    with run_graph(typed(model)) as runner:
        return runner.run(feeds)


def _costs(
    reference: Path,
    candidate: Path,
    feeds: Feeds,
    kept: tuple[str, ...],
    ranges: Mapping[str, float],
) -> tuple[OutputCost, ...]:
    """Compare whole outputs."""
    exact, got = _run(reference, feeds), _run(candidate, feeds)
    drawn = []
    for seed in range(DRAWS):
        model = read_model(reference)
        disturb(model, _placement(model, kept), ranges, seed)
        with run_graph(typed(model)) as runner:
            drawn.append(runner.run(feeds))
    return tuple(
        OutputCost(name, _change(exact[name], got.get(name)), _rms_change(exact[name], name, drawn))
        for name in exact
    )


def _rms_change(exact: Array, name: str, drawn: list[dict[str, Array]]) -> float:
    return math.sqrt(sum(_change(exact, each[name]) ** 2 for each in drawn) / len(drawn))


def _change(exact: Array, got: Array | None) -> float:
    """Give the RMS of the difference over the RMS of what is exact; NaN where shapes differ."""
    if got is None or got.shape != exact.shape:
        return math.nan
    reference = exact.astype(np.float64)
    size = float(np.linalg.norm(reference))
    off = float(np.linalg.norm(got.astype(np.float64) - reference))
    return off / size if size else off


def _histogram(values: Array) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


def _scales(model: ir.Model) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Give, by tensor, the scale of its QuantizeLinear and of each DequantizeLinear behind it."""
    for node in model.graph:
        if node.op_type == "QuantizeLinear" and node.inputs[0] is not None:
            behind = [use.node for use in node.outputs[0].uses()]
            yield node.inputs[0].name or "", tuple(_scale(n) for n in (node, *behind))


def _scale(node: ir.Node) -> float:
    """Read a scalar scale; NaN where it is no such constant, or the zero point is not 0."""
    scale, *zero = node.inputs[1:]
    for value in zero:
        if value is None or value.const_value is None or np.any(value.const_value.numpy()):
            return math.nan
    tensor = scale.const_value if scale is not None else None
    return float(tensor.numpy().item()) if tensor is not None and tensor.size == 1 else math.nan


def _check_layers(placement: Placement, candidate: ir.Model) -> Iterator[TensorCheck]:
    """Every read that the placement wants goes through a pair."""
    nodes = {name_of(node): node for node in candidate.graph}
    for node, index in placement.reads:
        name, wanted = name_of(node), node.inputs[index]
        assert wanted is not None
        if _behind_pair(nodes.get(name), index) != wanted.name:
            reason = f"does not read {wanted.name} through a Q/DQ pair"
            yield TensorCheck(name, math.nan, 0.0, reason)


def _behind_pair(node: ir.Node | None, index: int) -> str | None:
    """Name the tensor that a node reads through a pair."""
    value = node.inputs[index] if node is not None and index < len(node.inputs) else None
    for op_type in ("DequantizeLinear", "QuantizeLinear"):
        producer = value.producer() if value is not None else None
        if producer is None or producer.op_type != op_type:
            return None
        value = producer.inputs[0]
    return value.name if value is not None else None


def _check_pair(
    name: str, values: Array, scales: tuple[float, ...], ranges: Mapping[str, float] | None
) -> TensorCheck:
    """Bound a scale's loss by the best of seven bits, or hold it against the stated range."""
    scale = scales[0] if scales else math.nan
    if len(scales) < 2 or set(scales) != {scale} or not scale > 0:
        return TensorCheck(name, math.nan, 0.0, f"has scales {scales}: wanted two alike")
    if ranges is not None:
        stated = ranges.get(name, math.nan) / LEVELS
        return TensorCheck(name, abs(scale - stated), (_SLACK - 1) * stated)
    best = _histogram(values).best_range(LEVELS // 2) / (LEVELS // 2)
    allowed = SEVEN_BITS * _loss(values, best, LEVELS // 2)
    return TensorCheck(name, _loss(values, scale, LEVELS), allowed)


def _loss(values: Array, scale: float, levels: int) -> float:
    """Give the RMS of what quantising changes."""
    if not scale:
        return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    steps = np.clip(np.rint(values / np.float32(scale)), -levels - 1, levels)
    return float(np.sqrt(np.mean(np.square(steps * scale - values, dtype=np.float64))))


def _check_weights(reference: ir.Model, candidate: ir.Model) -> Iterator[TensorCheck]:
    """Compare every float weight, as it is or dequantised."""
    stored = candidate.graph.initializers
    dequantised = dict(_dequantised(candidate))
    for name, value in reference.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT:
            continue
        if name in dequantised:
            yield _check_weight(name, tensor.numpy(), dequantised[name])
        elif name not in stored or not _same(tensor, stored[name].const_value):
            yield TensorCheck(name, math.nan, 0.0, "is missing or not what it was")


def _dequantised(model: ir.Model) -> Iterator[tuple[str, Array]]:
    """Give the weights that are stored in int8, by their float32 names, as floats."""
    for node in model.graph:
        stored = node.inputs[0] if node.op_type == "DequantizeLinear" else None
        if stored is None or stored.const_value is None:
            continue
        scale = node.inputs[1].const_value if node.inputs[1] is not None else None
        if scale is None:
            continue
        steps = stored.const_value.numpy().astype(np.float32)
        name = (stored.name or "").rpartition("/")[0]
        yield name, steps * scale.numpy().reshape(-1, *[1] * (steps.ndim - 1))


def _check_weight(name: str, weight: Array, got: Array) -> TensorCheck:
    """Bound the change by half a step, the step being 1/127 of a channel's largest."""
    if got.shape != weight.shape:
        return TensorCheck(name, math.nan, 0.0, f"has shape {got.shape}, wanted {weight.shape}")
    half = channel_scales(weight).reshape(-1, *[1] * (weight.ndim - 1)) / 2
    return TensorCheck(name, float(np.max(np.abs(got - weight) / half)), _SLACK)


def _same(one: ir.TensorProtocol, other: ir.TensorProtocol | None) -> bool:
    return other is not None and np.array_equal(one.numpy(), other.numpy(), equal_nan=True)

"""Hold every layer of a low-precision graph against its float32 self, one by one.

Outputs alone cannot tell a wrong layer from rounding in a deep network: correct float16 costs a
resnet152 of drawn weights 5e-2. So each layer is judged on the map that the float32 network has
there, rounded as the candidate has it. With u half a unit of the half type, its weights are then
off by at most u |w| each and its result by u |y|, so the error is at most 2 u (sum |w| |x| + |b|):
one eps of that sum. A tenth is added for the order of float32 sums. The bound holds for every
correct layer; correct ones come to 0.1 to 0.96 of it. A weight tensor zeroed, two channels swapped
or a missing bias comes to 2 to 100 times it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.validation import LayerCheck
from simam_deploy.errors import InputError
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.types import EPSILON, HALVES, SMALLEST_NORMAL
from simam_deploy.precision.half.layers import cut_layers, layers, majorise
from simam_deploy.precision.half.overflow import overflows
from simam_deploy.precision.rounding import rounded
from simam_deploy.precision.taps import Taps
from simam_deploy.runtime.graph_runner import run_model

ALLOWED_ULPS = 1.1


@dataclass(frozen=True)
class LayerMaps:
    """The maps that a float32 network's layers read, and which of them each layer does."""

    maps: tuple[Array, ...]
    read: tuple[int, ...]


def record_layers(model: ir.Model, feeds: Feeds) -> LayerMaps:
    """Run a float32 model of plain ops and keep the map that each layer is given.

    Args:
        model: It is used up.
        feeds: One array per input.

    Raises:
        InputError: ONNX Runtime does not take it.
    """
    model = typed(model)
    given = [x for node in layers(model) if (x := node.inputs[0]) is not None]
    if not given:
        return LayerMaps((), ())
    once = list(dict.fromkeys(given))
    with Taps(model, once) as taps:
        return LayerMaps(tuple(taps.read(feeds)), tuple(map(once.index, given)))


def check_layers(
    recorded: LayerMaps, original: ir.Model, candidate: ir.Model, dtype: ir.DataType
) -> tuple[LayerCheck, ...]:
    """Compute every layer of `candidate` on the recorded maps, with its rounding.

    Args:
        recorded: Of the float32 network.
        original: Its graph, for the weights; it is used up.
        candidate: The converted graph; it is used up.
        dtype: The half type whose unit the error is told in.

    Returns:
        One check a layer; all fail where the two do not have the same layers.
    """
    original, candidate = typed(original), typed(candidate)
    theirs, own = cut_layers(original), cut_layers(candidate)
    names = [(node.name or "?", node.op_type) for node in theirs]
    kinds = [node.op_type for node in own]
    if kinds != [kind for _, kind in names]:
        reason = f"{len(kinds)} layers, {len(names)} were expected, or of other kinds"
        return tuple(_failed(*name, reason) for name in names)
    feeds = _as_given(recorded, candidate)
    try:
        got = run_model(rounded(candidate), feeds)
    except InputError as error:  # a map of another shape than the layer's
        return tuple(_failed(*name, str(error)) for name in names)
    expected = run_model(original, feeds)
    majorise(original, SMALLEST_NORMAL[dtype])
    bounds = run_model(original, {name: np.abs(x) for name, x in feeds.items()})
    each = zip(names, got, expected, bounds, strict=True)
    checks = [_check(*name, y, e, bound, dtype) for name, y, e, bound in each]
    return tuple(map(_same_epsilon, checks, theirs, own))


def _same_epsilon(check: LayerCheck, wanted: ir.Node, got: ir.Node) -> LayerCheck:
    """Hold a normalisation's epsilon against the original's: bfloat16 does not show 1e-3 of it."""
    default = ir.AttrFloat32("epsilon", 1e-5)
    one, other = (node.attributes.get("epsilon", default).as_float() for node in (wanted, got))
    if math.isclose(one, other, rel_tol=1e-5):
        return check
    return replace(check, reason=f"epsilon is {other:g}, the float32 network has {one:g}")


def _as_given(recorded: LayerMaps, candidate: ir.Model) -> dict[str, Array]:
    """Round each map as the candidate has it; what that costs is not the layer's fault."""
    given = {value.name: value.dtype for value in candidate.graph.inputs}
    feeds = {}
    for layer, number in enumerate(recorded.read):
        dtype, x = given[f"x{layer}"], recorded.maps[number]
        with np.errstate(over="ignore"):  # the layer gives no finite result then, and fails
            held = x.astype(dtype.numpy()) if dtype in HALVES and dtype is not None else x
        feeds[f"x{layer}"] = held.astype(np.float32)
    return feeds


def _check(
    name: str, kind: str, got: Array, expected: Array, bound: Array, dtype: ir.DataType
) -> LayerCheck:
    if got.shape != expected.shape:
        return _failed(name, kind, f"shape {got.shape}, expected {expected.shape}")
    bad = int(np.count_nonzero(~np.isfinite(got)))
    if bad:
        reason = f"{bad} of {got.size} values NaN or infinite"
        return _failed(name, kind, f"{reason}{_why(expected, dtype)}")
    unit = EPSILON[dtype] * np.maximum(bound, SMALLEST_NORMAL[dtype]).astype(np.float64)
    return LayerCheck(name, kind, float(np.max(np.abs(got - expected) / unit)), ALLOWED_ULPS)


def _why(expected: Array, dtype: ir.DataType) -> str:
    """Say whose numbers half does not hold: the layer's own, or those that it is given."""
    if not np.isfinite(expected).all():  # computed on the map as the candidate holds it
        return f": the map that it is given overflows {dtype.name.lower()}"
    why = overflows(float(np.max(np.abs(expected), initial=0.0)), dtype)
    return f": it{why}" if why else ""


def _failed(name: str, kind: str, reason: str) -> LayerCheck:
    return LayerCheck(name, kind, math.nan, ALLOWED_ULPS, reason)

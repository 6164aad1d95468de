"""Constants that a half type turns into zero or infinity, and what must stay float32 with them.

float16's smallest number is 2^-24 = 6e-8 and its largest 65504. An epsilon of 1e-12 becomes 0, and
x / max(|x|, eps) of a black frame 0 / 0; a mask's -1e9 becomes -inf, and a row of such scores NaN.
So their node computes in float32, and with it

    behind   whoever could meet what the constant stands for: the Expand and the Div behind a
             Clip(|x|, 1e-12), the Add of scores behind a mask. Moves, roots and arithmetic with
             constants hand it on; a Div, or a small one's arithmetic with a map, takes it up.
    before   what is held against it: the sum of squares under an epsilon. A square is 0 in float16
             from |x| = 1.7e-4 down, where float32 still tells x / sqrt(x^2 + 1e-12) to be 1.

A layer's weights are no such constants: one of many that is lost there moves a sum by less than the
sum's own rounding does, and `verify.layers` judges it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.graph.types import LARGEST, LAYERS
from simam_deploy.precision.half.known import MOVES, known_values

_MEASURES = {
    "AveragePool", "GlobalAveragePool", "Pow", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceSum", "ReduceSumSquare", "Sqrt",
}  # fmt: skip
"""They sum up a map, or bring a sum back to its scale."""
_MIX = {"Add", "Div", "Mul", "Sub"}
_HAND_ON = MOVES | _MEASURES | {"Abs", "Clip", "Concat", "Max", "Min", "Neg", "Reciprocal", "Where"}
_READERS = _HAND_ON | _MIX | {"Exp", "Log"}
_WEIGHTED = LAYERS | {
    "GRU", "Gather", "GroupNormalization", "InstanceNormalization", "LSTM", "LayerNormalization",
    "PRelu", "RMSNormalization", "RNN",
}  # fmt: skip
"""What they hold are weights, by the hundred."""
_EPSILONS = {"GroupNormalization", "InstanceNormalization"}
"""With an attribute that they may add in the type of their input."""


@dataclass(frozen=True)
class Loss:
    """What becomes of a number in half: zero, or infinity if it is `huge`; in words."""

    huge: bool
    text: str


def unheld(
    model: ir.Model, dtype: ir.DataType, beside: Collection[ir.Node] = ()
) -> tuple[dict[ir.Node, str], set[ir.Node]]:
    """Find the nodes that hold a constant which half does not, and what stays float32 with them.

    Args:
        model: Its Constant nodes lifted to initializers; types known.
        dtype: The half type.
        beside: Nodes that are not asked: SimAM's.

    Returns:
        A reason for each node that holds one; and the nodes behind and before those.
    """
    known = known_values(model)
    asked = [n for n in model.graph if n not in beside and not set(n.outputs) & known.keys()]
    losses = {node: loss for node in asked if (loss := _loss(node, known, dtype))}
    kept: set[ir.Node] = set()
    for node, loss in losses.items():
        kept |= _before(node, known)
        if not (loss.huge and node.op_type == "Clip"):  # a bound that is never met
            kept |= _behind(node, known, loss.huge)
    return {n: loss.text for n, loss in losses.items()}, kept - losses.keys() - set(beside)


def _loss(node: ir.Node, known: Mapping[ir.Value, Array], dtype: ir.DataType) -> Loss | None:
    """Tell which constant of a node does not go into the half type."""
    for name, array in _constants(node, known):
        if loss := lost_in(array, dtype):
            return Loss(loss.huge, f"{name} {loss.text}")
    return None


def _constants(node: ir.Node, known: Mapping[ir.Value, Array]) -> Iterator[tuple[str, Array]]:
    """Yield what a node holds beside weights."""
    if node.op_type in _EPSILONS and "epsilon" in node.attributes:
        yield "its epsilon", np.array(node.attributes.get_float("epsilon"), np.float32)
    if node.domain or node.op_type in _WEIGHTED | {"Resize"} or _is_bias(node, known):
        return
    for value in node.inputs:
        if value is not None and value in known and value.dtype == ir.DataType.FLOAT:
            yield f"constant {value.name}", known[value]


def _is_bias(node: ir.Node, known: Mapping[ir.Value, Array]) -> bool:
    """Tell whether a node adds the bias of the layer before it, written as a node of its own."""
    if node.op_type != "Add":
        return False
    maps = [v for v in node.inputs if v is not None and v not in known]
    biases = [known[v] for v in node.inputs if v is not None and v in known]
    layers = [v.producer() for v in maps]
    behind = all(layer is not None and layer.op_type in LAYERS for layer in layers)
    return behind and len(biases) == 1 and bool(biases[0].size > 1)


def lost_in(array: Array, dtype: ir.DataType) -> Loss | None:
    """Tell whether a half type turns a number of an array into infinity, or else one into zero."""
    if not np.issubdtype(array.dtype, np.floating):
        return None
    finite = np.abs(array[np.isfinite(array)])
    largest = float(np.max(finite, initial=0.0))
    name = dtype.name.lower()
    if largest > LARGEST[dtype]:
        return Loss(True, f"reaches {largest:.3g}, {name} ends at {LARGEST[dtype]:.5g}")
    flushed = finite[(finite != 0) & (finite.astype(dtype.numpy()) == 0)]
    return Loss(False, f"has {flushed.min():.1g}, which is 0 in {name}") if flushed.size else None


def _behind(node: ir.Node, known: Mapping[ir.Value, Array], huge: bool) -> set[ir.Node]:
    """Collect the readers that could meet what a constant stands for."""
    found: set[ir.Node] = set()
    passed: set[ir.Node] = {node}
    pending = [node]
    while pending:
        uses = [use for value in pending.pop().outputs for use in value.uses()]
        readers = {u.node for u in uses if not u.node.domain and u.node.op_type in _READERS}
        found |= readers
        onward = {n for n in readers if huge or _hands_on(n, known)} - passed
        passed |= onward
        pending.extend(onward)
    return found


def _hands_on(node: ir.Node, known: Mapping[ir.Value, Array]) -> bool:
    """Tell whether a node's result is as small as what it was given."""
    maps = [v for v in node.inputs if v is not None and v not in known]
    return node.op_type in _HAND_ON or (node.op_type in _MIX and len(maps) == 1)


def _before(node: ir.Node, known: Mapping[ir.Value, Array]) -> set[ir.Node]:
    """Collect what a node's operands are computed with, back to the first mixture of maps."""
    found: set[ir.Node] = set()
    pending = [node]
    while pending:
        sources = {v.producer() for v in pending.pop().inputs if v is not None}
        new = {n for n in sources if n is not None and _feeds(n, known)} - found
        found |= new
        pending.extend(n for n in new if n.op_type not in _MIX)
    return found


def _feeds(node: ir.Node, known: Mapping[ir.Value, Array]) -> bool:
    """Tell whether a node measures, or moves what was measured, or makes a constant."""
    makes = any(value in known for value in node.outputs)
    return makes or (not node.domain and node.op_type in _HAND_ON | _MIX)

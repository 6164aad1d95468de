"""Which dimensions of a feature map are its planes: the last ones, or those before the channels.

    (N, C, H, W)  (N, H, W, C)  (N, C, L)  (N, L, C) of tokens  (N, C, D, H, W)  (N, D, H, W, C)

The arithmetic of SimAM says over what it is reduced, not what that is. A plane is made of all but
N and the channels, which are where the graph shows them to be: a convolution puts them second, a
Transpose moves them. Where it shows nothing, a map of 4 or 5 dimensions has them second, and one of
3, be it a line or tokens, where nothing is reduced: both are SimAM of something, and exactly so.
"""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.recognise.forms import Axes
from simam_deploy.graph.recognise.scene import Scene

NAMES = {
    (3, False): "NCL",
    (3, True): "NLC",
    (4, False): "NCHW",
    (4, True): "NHWC",
    (5, False): "NCDHW",
    (5, True): "NDHWC",
}
"""By rank and by whether the channels come last."""

_CHANNELS_FIRST = frozenset(
    ("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "GlobalAveragePool",
     "GroupNormalization", "InstanceNormalization", "LRN", "MaxPool", "PRelu", "QLinearConv")
)  # fmt: skip
_KEPT_BY = frozenset(
    ("Abs", "Add", "Cast", "Clip", "Concat", "Div", "Dropout", "Elu", "Erf", "Exp", "Gelu",
     "HardSigmoid", "HardSwish", "Identity", "LayerNormalization", "LeakyRelu", "MatMul", "Mish",
     "Mul", "Neg", "Pow", "Relu", "Sigmoid", "Softplus", "Sub", "Tanh")
)  # fmt: skip
"""Operators that leave the channels where they are; a MatMul makes others of them."""
_MOVED_BY = frozenset(("Flatten", "Reshape", "Transpose"))
_FARTHEST = 64
"""Operators to look back over."""


def channels_last(root: ir.Value, axes: Axes, scene: Scene) -> bool:
    """Tell whether the channels of `root`, which is reduced over `axes`, are its last dimension."""
    rank = len(scene.shape(root))
    channels = _channels(root, scene)
    return axes == {1} and rank == 3 if channels is None else channels == rank - 1


def order(rank: int, last: bool) -> tuple[int, ...]:
    """Return the dimensions of a map as N, C and those of a plane."""
    return (0, rank - 1, *range(1, rank - 1)) if last else tuple(range(rank))


def _channels(value: ir.Value, scene: Scene, farthest: int = _FARTHEST) -> int | None:
    """Return the dimension of `value` that holds its channels, None where that is not known."""
    node, unknown = value.producer(), 1 if len(scene.shape(value)) > 3 else None
    if node is None or farthest == 0 or not scene.facts.is_valid(node):
        return unknown
    if node.op_type in _CHANNELS_FIRST:
        return 1
    source = _source(node, scene)
    before = None if source is None else _channels(source, scene, farthest - 1)
    if source is None or before is None:
        return unknown
    return _after(node, source, before, scene)


def _source(node: ir.Node, scene: Scene) -> ir.Value | None:
    """Return the computed operand of `node` that its result has the dimensions of."""
    if node.op_type in _MOVED_BY:
        return node.inputs[0]
    rank = len(scene.shape(node.outputs[0]))
    computed = (v for v in node.inputs if v is not None and v.producer() is not None)
    alike = (v for v in computed if len(scene.shape(v)) == rank)
    return next(alike, None) if node.op_type in _KEPT_BY else None


def _after(node: ir.Node, source: ir.Value, channels: int, scene: Scene) -> int | None:
    """Return where the dimension `channels` of `source` is in the result of `node`."""
    before, after = scene.shape(source), scene.shape(node.outputs[0])
    if node.op_type == "Transpose":
        return order_of(node, len(before)).index(channels)
    if node.op_type not in _MOVED_BY or before == after:
        return channels
    if channels == 1 and len(after) > 2 and before[:2] == after[:2]:
        return 1
    last = channels == len(before) - 1 and (before[0], before[-1]) == (after[0], after[-1])
    return len(after) - 1 if last else None


def order_of(node: ir.Node, rank: int) -> tuple[int, ...]:
    """Return the order that a Transpose puts `rank` dimensions in."""
    return tuple(node.attributes.get_ints("perm", ())) or tuple(reversed(range(rank)))

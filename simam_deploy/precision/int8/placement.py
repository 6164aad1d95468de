"""Which layers compute in int8, and which tensors they then read quantised.

Rules, after what TensorRT fuses:
    1. A 2-D convolution with constant float32 weights does. Everything else stays float32: fully
       connected layers, the 1-D convolutions of WeSpeaker's pooling, whose softmax would make
       much of a step, and SimAM, whose sums of squares need a float's range.
    2. The first layers (none above them) and the last (none below, or boxes and scores that
       something is selected by) do not: they cost little, and nothing evens their error out.
    3. A quantised layer reads its input and its weights through a pair, and hands on float32.
       TensorRT moves a pair up through what is between (ReLU, pooling), and SimAM is given what
       the convolution accumulated. Biases stay float32: TensorRT adds them as such.
    4. Where a quantised layer's output goes into an Add and nowhere else, the other summand is
       read through a pair too if it has one anyway or comes from a quantised layer: TensorRT then
       makes one int8 kernel of convolution, Add and activation. A pair on both summands would
       keep them apart. What a SimAM gave, or has only been added up, stays float32.
    5. What the samples showed to be better off in float32 is named by whoever places, and the
       other rules hold for the rest.
    6. Weights have a scale for each output channel, which is the more exact; those of layers that
       whoever places names have one for all (`paying`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from simam_deploy.graph.passes.links import is_op, only_use
from simam_deploy.graph.selection.around import around_selections
from simam_deploy.graph.types import PRODUCTS
from simam_deploy.precision.int8.formats import INT8, Format

_CONV_RANK = 4


@dataclass(frozen=True)
class Choice:
    """What a placement departs from the rules in.

    Attributes:
        left: Layers and Adds to leave in float32, by name, each with the reason. No tensor is read
            through a pair that would not be with fewer of them left.
        by_tensor: Names of layers whose weights have one scale for all.
        numbers: What is quantised to.
    """

    left: Mapping[str, str] = field(default_factory=dict)
    by_tensor: frozenset[str] = frozenset()
    numbers: Format = INT8

    def leaving(self, more: Mapping[str, str]) -> Choice:
        """Leave more; the reason that is there already stays."""
        return replace(self, left={**more, **self.left})


@dataclass(frozen=True)
class Placement:
    """What is quantised of a graph.

    Attributes:
        layers: The convolutions that compute in int8.
        kept: Names of the layers that stay float32, each with the reason.
        reads: Every read of an activation that goes through a pair: node and input index.
        by_tensor: Those of the layers whose weights have one scale for all.
        numbers: What is quantised to.
    """

    layers: tuple[ir.Node, ...]
    kept: tuple[str, ...]
    reads: tuple[tuple[ir.Node, int], ...]
    by_tensor: frozenset[ir.Node] = frozenset()
    numbers: Format = INT8

    @property
    def weights(self) -> dict[ir.Value, bool]:
        """The weights that are quantised, each once, and whether by one scale for all."""
        found: dict[ir.Value, bool] = {}
        for layer in self.layers:
            weight = _read(layer, 1)
            found[weight] = found.get(weight, False) or layer in self.by_tensor
        return found

    @property
    def tensors(self) -> tuple[ir.Value, ...]:
        """The activations that are quantised, each once, in the order of the graph."""
        return tuple(dict.fromkeys(_read(node, index) for node, index in self.reads))


def place(model: ir.Model, choice: Choice | None = None) -> Placement:
    """Choose, in the main graph of a float32 model; SimAM may be written in any lowering.

    Args:
        model: Float32.
        choice: What is asked for beside the rules, or against them.
    """
    choice = choice or Choice()
    left = choice.left
    weighted = [n for n in model.graph if n.op_type in PRODUCTS and not n.domain]
    above, below = _reachable(model.graph, weighted)
    below -= around_selections(model.graph)
    layers, kept = [], []
    for node in weighted:
        reason = _reason(node, node in above, node in below) or left.get(name_of(node))
        if reason:
            kept.append(f"{name_of(node)} ({reason})")
        else:
            layers.append(node)
    found = [_summand(node, set(layers)) for node in layers]
    summands = [read for read in found if read is not None and name_of(read[0]) not in left]
    reads = [(node, 0) for node in layers] + summands
    by_tensor = frozenset(node for node in layers if name_of(node) in choice.by_tensor)
    return Placement(tuple(layers), tuple(kept), tuple(reads), by_tensor, choice.numbers)


def readers(placement: Placement, tensors: Collection[str]) -> list[str]:
    """Name the nodes that read any of these tensors through a pair."""
    return [name_of(n) for n, index in placement.reads if _read(n, index).name in tensors]


def name_of(node: ir.Node) -> str:
    """Give a node's name, or its output's."""
    return node.name or node.outputs[0].name or node.op_type


def _read(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    assert value is not None
    return value


def _reason(node: ir.Node, has_above: bool, has_below: bool) -> str:
    """Say why a layer stays float32, or nothing; rules 1 and 2."""
    if not has_above:
        return "first layer"
    if not has_below:
        return "last layer"
    if not is_op(node, "Conv"):
        return f"{node.op_type}, no convolution"
    weight = node.inputs[1]
    tensor = weight.const_value if weight is not None and weight.is_initializer() else None
    if tensor is None or tensor.dtype != ir.DataType.FLOAT:
        return "weights are no float32 constant"
    return "" if len(tensor.shape) == _CONV_RANK else "not 2-D"


def _reachable(graph: ir.Graph, weighted: list[ir.Node]) -> tuple[set[ir.Node], set[ir.Node]]:
    """Give the nodes that have a weighted layer above them, and those that have one below."""
    above: set[ir.Node] = set()
    below: set[ir.Node] = set()
    marked = set(weighted)
    for node in graph:
        if any(p in above or p in marked for p in _producers(node)):
            above.add(node)
    for node in reversed(graph):
        if any(u in below or u in marked for u in _users(node)):
            below.add(node)
    return above, below


def _producers(node: ir.Node) -> Iterator[ir.Node]:
    producers = (value.producer() for value in node.inputs if value is not None)
    return (producer for producer in producers if producer is not None)


def _users(node: ir.Node) -> Iterator[ir.Node]:
    return (use.node for value in node.outputs for use in value.uses())


def _summand(layer: ir.Node, layers: set[ir.Node]) -> tuple[ir.Node, int] | None:
    """Rule 4: of an Add of two layers, the first summand is the one that is fused."""
    add, index = only_use(layer.outputs[0]) or (None, 0)
    if add is None or not is_op(add, "Add"):
        return None
    other = _read(add, 1 - index)
    if other.producer() in layers:
        return None if index == 1 and only_use(other) is not None else (add, 1 - index)
    paired = any(use.node in layers and use.idx == 0 for use in other.uses())
    return (add, 1 - index) if paired else None

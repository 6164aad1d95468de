"""Which layers TensorRT-RTX computes in eight bits without a kernel more than it launches anyway.

A plan knows two kinds of kernels here. A convolution's takes in what follows: bias, Relu or Clip,
and an Add. It does not take in a quantisation, of its own result or of anything: behind a
convolution that is a kernel more. A SimAM's kernel computes whatever is pointwise around it, a
quantisation behind it and a dequantisation before it too. So a layer pays where

    1. its input is written by a SimAM's kernel (or that of any reduction): the quantisation is
       taken in there; and
    2. its result is dequantised for nothing, in one of two ways. A SimAM's kernel that reads it
       does that, by a scale for each channel. Else the convolution's own kernel does, if it is by
       one scale of the whole tensor, and only bias, Relu or Clip, and in INT8 an Add, follow (in
       FP8 an Add must be another convolution's): by a scale for each channel it is a kernel more,
       and so is SiLU behind a quantised convolution.
    3. An Add of a convolution and of what a SimAM's kernel wrote is the convolution's, so that what
       reads the sum is behind a convolution; where that layer has a scale for each channel the Add
       is the SimAM's, and the reader may pay as well.

Counted in plans of version 1.7, SimAM as `wide`, each layer alone in INT8 by either scale
(`scripts/bench/paying.py`): of the 19, 52, 51 and 3 layers of a resnet18, a resnet50, a
mobilenet_v2 and the example's detector 7, 16, 17 and 1 cost nothing, in FP8 7, 5, 7 and 1. These
rules name them, and three more of the resnet18 by rule 3; all together cost nothing too. All 52 of
the resnet50 cost 31 launches more than none. What is not known to cost nothing is left in float32.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx_ir as ir

from simam_deploy.graph.passes.links import is_op, only_use
from simam_deploy.graph.types import PRODUCTS
from simam_deploy.op.contract import DOMAIN

_ACTIVATIONS = ("Relu", "Clip")
_POOLS = ("MaxPool", "AveragePool")
_REDUCTIONS = ("InstanceNormalization", "ReduceMean", "ReduceSum")
_READERS = PRODUCTS | {"Concat", "MaxPool", "Resize"}
"""What reads a tensor that a convolution's kernel wrote, without being taken into that kernel. Nor
is an Add where the tensor has other readers too."""


def paying(
    graph: ir.Graph, layers: Collection[ir.Node], folds_add: bool = True
) -> dict[ir.Node, bool]:
    """Choose among the layers that can be quantised.

    Args:
        graph: Float32, SimAM in any lowering.
        layers: Convolutions of it.
        folds_add: Whether a quantised convolution's kernel takes in an Add.

    Returns:
        Those that cost no launch, each with whether its weights must have one scale for all.
    """
    search = _Search(graph, folds_add)
    wanted = set(layers)
    for node in graph:
        search.visit(node, node in wanted)
    return search.found


class _Search:
    """Goes through a graph once, in its order."""

    def __init__(self, graph: ir.Graph, folds_add: bool) -> None:
        self._folds_add = folds_add
        self.found: dict[ir.Node, bool] = {}
        self._apart = _behind_reductions(graph)
        """Tensors that a SimAM's kernel writes, or one of another reduction: of nodes to come, what
        may be so."""

    def visit(self, node: ir.Node, is_wanted: bool) -> None:
        """Tell what kernel writes a node's results, and whether it is a layer that pays."""
        if node.op_type in PRODUCTS:
            if is_wanted and node.inputs[0] in self._apart:
                self._choose(node)
        elif not self._is_apart(node):
            self._apart.difference_update(node.outputs)

    def _choose(self, layer: ir.Node) -> None:
        if self._is_taken_in(layer.outputs[0]):
            self.found[layer] = False
        elif self._ends_in_its_kernel(layer.outputs[0]):
            self.found[layer] = True

    def _is_apart(self, node: ir.Node) -> bool:
        if is_op(node, "Add") and any(self._summed_by(node)):
            return False
        return _reduces(node) or self._reads_apart(node)

    def _reads_apart(self, node: ir.Node) -> bool:
        return not _has_own_kernel(node) and any(v in self._apart for v in node.inputs)

    def _summed_by(self, add: ir.Node) -> Iterator[ir.Node]:
        """Give the convolutions whose kernel takes in this Add."""
        for value in add.inputs:
            layer = value.producer() if value is not None else None
            if layer is None or layer.op_type not in PRODUCTS or only_use(layer.outputs[0]) is None:
                continue
            if self.found.get(layer, True):
                yield layer

    def _is_anothers(self, add: ir.Node, value: ir.Value) -> bool:
        """Tell whether a float convolution, of the other summand, takes this Add in."""
        others = [layer for layer in self._summed_by(add) if layer is not value.producer()]
        return any(layer.inputs[0] not in self._apart for layer in others)

    def _is_taken_in(self, value: ir.Value) -> bool:
        """Tell whether all that reads a value is computed in a SimAM's kernel."""
        seen, ahead = {value}, [value]
        while ahead:
            value = ahead.pop()
            uses = [use.node for use in value.uses()]
            if not uses or value.is_graph_output() or any(map(_has_own_kernel, uses)):
                return False
            for node in uses:
                if not (_reduces(node) or self._reads_apart(node)):
                    ahead += [made for made in node.outputs if made not in seen]
                    seen.update(node.outputs)
        return True

    def _ends_in_its_kernel(self, value: ir.Value) -> bool:
        """Tell whether a quantised convolution's kernel takes in what is pointwise behind it."""
        use = only_use(value)
        if use is not None and is_op(use[0], "Add"):
            if not (self._folds_add or self._is_anothers(use[0], value)):
                return False
            value = use[0].outputs[0]
            use = only_use(value)
        if use is not None and use[0].op_type in _ACTIVATIONS:
            value = use[0].outputs[0]
        readers = _READERS if only_use(value) else {*_READERS, "Add"}
        return all(each.node.op_type in readers for each in value.uses())


def _reduces(node: ir.Node) -> bool:
    return node.op_type in _REDUCTIONS or node.domain == DOMAIN


def _has_own_kernel(node: ir.Node) -> bool:
    return node.op_type in PRODUCTS or node.op_type in _POOLS


def _behind_reductions(graph: ir.Graph) -> set[ir.Value]:
    """Give what is computed of a reduction's result by anything but a product or a pooling."""
    found: set[ir.Value] = set()
    for node in graph:
        between = not _has_own_kernel(node) and any(v in found for v in node.inputs)
        if _reduces(node) or between:
            found.update(node.outputs)
    return found

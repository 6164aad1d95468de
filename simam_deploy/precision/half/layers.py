"""The layers that compute a value from weights, each cut out so that it can be judged by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.precision.taps import copied

LAYERS = {"BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul"}
Map = npt.NDArray[np.float32]


def layers(model: ir.Model) -> tuple[ir.Node, ...]:
    """List the main graph's layers whose first input is a map and all others are weights."""
    candidates = (n for n in model.graph if not n.domain and n.op_type in LAYERS)
    return tuple(n for n in candidates if _is_layer(n))


def _is_layer(node: ir.Node) -> bool:
    first, *rest = node.inputs
    weights = [v for v in rest if v is not None]
    own = all(v.is_initializer() and not v.is_graph_input() for v in weights)
    return first is not None and not first.is_initializer() and bool(weights) and own


def cut_layers(model: ir.Model) -> tuple[ir.Node, ...]:
    """Reduce a model to its layers, in place: number i reads the new input `x<i>`, gives `y<i>`.

    Returns:
        The layers, in order.
    """
    graph, found = model.graph, layers(model)
    graph.outputs.clear()
    for i, node in enumerate(found):
        old = node.inputs[0]
        assert old is not None
        x = ir.Value(name=f"x{i}", shape=old.shape, type=old.type)
        graph.inputs.append(x)
        node.replace_input_with(0, x)
        graph.outputs.append(copied(graph, node.outputs[0], f"y{i}"))
    RemoveUnusedNodesPass()(model)
    for value in [v for v in graph.inputs if not v.uses()]:
        graph.inputs.remove(value)
    return found


def majorise(model: ir.Model, smallest: float) -> None:
    """Make cut layers compute sum |w| |x| + |b|, given |x|: what rounding errors are fractions of.

    Args:
        model: Of `cut_layers`, float32; in place.
        smallest: The half type's smallest normal number: a weight below it is rounded by as much
            as one of that size.
    """
    for node in layers(model):
        rules = _BATCH_NORM if node.op_type == "BatchNormalization" else {}
        for index, value in enumerate(node.inputs[1:], start=1):
            rule = rules.get(index, partial(_magnitude, smallest=smallest))
            if value is not None:
                node.replace_input_with(index, _derived(model.graph, value, rule))


def _magnitude(array: Map, smallest: float) -> Map:
    return np.maximum(np.abs(array), np.float32(smallest))


_BATCH_NORM: Mapping[int, Callable[[Map], Map]] = {
    3: lambda mean: -np.abs(mean),
    4: lambda variance: variance,
}
"""|s| (|x| - (-|m|)) / sqrt(v + eps) + |b|."""


def _derived(graph: ir.Graph, value: ir.Value, rule: Callable[[Map], Map]) -> ir.Value:
    """Register what the rule makes of a weight, once a weight and rule's kind."""
    tensor = value.const_value
    assert tensor is not None
    name = f"{value.name}/majorant{len(graph.initializers)}"
    made = ir.tensor(rule(tensor.numpy().astype(np.float32, copy=False)), name=name)
    derived = ir.Value(name=name, shape=value.shape, type=value.type, const_value=made)
    graph.register_initializer(derived)
    return derived

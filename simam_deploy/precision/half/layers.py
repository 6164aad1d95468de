"""The layers that compute a value from weights, each cut out so that it can be judged by itself."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.graph.types import LAYERS
from simam_deploy.precision.half.known import constant_values
from simam_deploy.precision.taps import copied


def layers(model: ir.Model) -> tuple[ir.Node, ...]:
    """List the main graph's layers whose first input is a map and all others are weights.

    A weight is whatever comes from no input of the graph: an initializer, by way of an Identity
    (which TorchScript writes where two biases are equal), a Transpose or a weight norm as well.
    """
    weights = constant_values(model.graph)
    candidates = (n for n in model.graph if not n.domain and n.op_type in LAYERS)
    return tuple(n for n in candidates if _is_layer(n, weights))


def _is_layer(node: ir.Node, weights: set[ir.Value]) -> bool:
    first, *rest = node.inputs
    own = [v in weights for v in rest if v is not None]
    return first is not None and first not in weights and bool(own) and all(own)


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

    BatchNormalization computes |s| (|x| - (-|m|)) / sqrt(v + eps) + |b|.

    Args:
        model: Of `cut_layers`, float32; in place.
        smallest: The half type's smallest normal number: a weight below it is rounded by as much
            as one of that size.
    """
    for number, node in enumerate(layers(model)):
        norm = node.op_type == "BatchNormalization"
        for index, value in enumerate(node.inputs[1:], start=1):
            if value is not None and not (norm and index == _VARIANCE):
                mean = norm and index == _MEAN
                nodes = _negative(value) if mean else _magnitude(model.graph, value, smallest)
                for made in nodes:
                    made.outputs[0].name = f"majorant/{number}/{index}/{made.op_type}"
                model.graph.insert_before(node, nodes)
                node.replace_input_with(index, nodes[-1].outputs[0])


_MEAN, _VARIANCE = 3, 4
"""BatchNormalization's inputs."""


def _magnitude(graph: ir.Graph, weight: ir.Value, smallest: float) -> list[ir.Node]:
    least = graph.initializers.get("majorant/least")
    if least is None:
        tensor = ir.tensor(np.float32(smallest), name="majorant/least")
        least = ir.Value(name=tensor.name, const_value=tensor)
        graph.register_initializer(least)
    size = ir.node("Abs", [weight])
    return [size, ir.node("Max", [size.outputs[0], least])]


def _negative(mean: ir.Value) -> list[ir.Node]:
    size = ir.node("Abs", [mean])
    return [size, ir.node("Neg", size.outputs)]

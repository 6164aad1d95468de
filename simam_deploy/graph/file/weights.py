"""Take a graph's weights out and put them back, so that optimisers see only its structure."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir

SMALL = 1024
"""Elements up to which an initializer stays: shapes, axes and scalars take part in folding."""


def without_weights(
    model: ir.Model, transform: Callable[[onnx.ModelProto], onnx.ModelProto]
) -> ir.Model:
    """Apply `transform` to the model while its weights stand in as graph inputs.

    A 2.5 GB model then costs no more than its nodes and is not stopped by protobuf's 2 GB; and
    whatever the optimiser keeps of the graph (onnxscript's rules keep the last one they saw),
    the weights are not among it.

    Returns:
        A new model over the same weights; `model` is used up.
    """
    weights = _detach(model.graph)
    transformed: ir.Model = ir.from_proto(transform(ir.to_proto(model)))
    _attach(transformed.graph, weights)
    return transformed


def _detach(graph: ir.Graph) -> dict[str, ir.TensorProtocol]:
    """Turn large initializers into graph inputs."""
    weights = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and tensor.size > SMALL:
            weights[name] = tensor
            del graph.initializers[name]
            value.const_value = None
            value.type = ir.TensorType(tensor.dtype)
            graph.inputs.append(value)
    return weights


def _attach(graph: ir.Graph, weights: dict[str, ir.TensorProtocol]) -> None:
    """Turn the stand-in inputs back into initializers; one that nothing reads is dropped."""
    for value in [v for v in graph.inputs if v.name in weights]:
        graph.inputs.remove(value)
        if value.uses():
            value.const_value = weights[value.name or ""]
            graph.register_initializer(value)

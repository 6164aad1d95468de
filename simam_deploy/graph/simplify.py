"""Run onnx-simplifier (onnxsim) over the graph without its weights.

The weights stand in as graph inputs meanwhile: what there is to fold is in shapes and small
constants, BN is folded elsewhere, and so a 2.5 GB model costs no more than its nodes and is not
stopped by protobuf's 2 GB.
"""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.errors import InputError

SMALL = 1024
"""Elements up to which an initializer takes part in constant folding."""


def simplify(model: ir.Model) -> ir.Model:
    """Give the simplified model; weights are shared with `model`, which is used up.

    Raises:
        InputError: onnxsim reports that its result differs from what it was given.
    """
    import onnxsim

    weights = _detach_weights(model.graph)
    proto, same = onnxsim.simplify(ir.to_proto(model))
    if not same:
        raise InputError("onnx-simplifier changed what the graph computes; use --no-simplify")
    simplified: ir.Model = ir.from_proto(proto)
    for key in [k for k in simplified.metadata_props if k.startswith("onnxsim.")]:
        del simplified.metadata_props[key]  # a log of its own work, up to 10 kB
    _attach_weights(simplified.graph, weights)
    return simplified


def _detach_weights(graph: ir.Graph) -> dict[str, ir.TensorProtocol]:
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


def _attach_weights(graph: ir.Graph, weights: dict[str, ir.TensorProtocol]) -> None:
    """Turn the stand-in inputs back into initializers; one that nothing reads is dropped."""
    for value in [v for v in graph.inputs if v.name in weights]:
        graph.inputs.remove(value)
        if value.uses():
            value.const_value = weights[value.name or ""]
            graph.register_initializer(value)

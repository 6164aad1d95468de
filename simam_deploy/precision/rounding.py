"""Write out the rounding of a half graph, so that a float32 runtime shows it.

ONNX Runtime's CPU provider computes float16 nodes in float32, fuses them, and rounds where it
likes: it hides the overflow that SimAM dies of. It has next to nothing for bfloat16. Here every
half node computes in float32 and is followed by a Cast to its half type and one back, which
round to nearest, keep subnormals and overflow to infinity exactly as IEEE 754 says. That is what
hardware does that accumulates a dot product or a reduction in float32, as tensor cores do.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.types import HALVES, float_type


def rounded(model: ir.Model) -> ir.Model:
    """Turn a half model into one for float32 runtimes that rounds every half value.

    Args:
        model: Plain ops, without functions; it is used up. A float32 model stays as it is.

    Returns:
        The model, its inputs, outputs and weights float32.

    Raises:
        InputError: ONNX cannot tell the type of a value.
    """
    if float_type(model) not in HALVES:
        return model
    model = typed(model)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    graph = model.graph
    for value in graph.initializers.values():
        if value.dtype in HALVES:
            _widen_weight(value)
    for value in graph.inputs:
        if value.dtype in HALVES:
            round_value(graph, value, value.dtype)
    for node in list(graph):
        for value in node.outputs:
            if value.dtype in HALVES:
                round_value(graph, value, value.dtype)
        if node.op_type == "Cast" and node.attributes["to"].as_int() in HALVES:
            node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT)
    return model


def _widen_weight(value: ir.Value) -> None:
    tensor = value.const_value
    assert tensor is not None
    value.const_value = ir.LazyTensor(
        partial(_widened, tensor),
        dtype=ir.DataType.FLOAT,
        shape=ir.Shape(tensor.shape.numpy()),
        name=value.name,
    )
    value.type = ir.TensorType(ir.DataType.FLOAT)


def _widened(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float32))


def round_value(graph: ir.Graph, value: ir.Value, dtype: ir.DataType | None) -> None:
    """Make a value float32 and let its readers, and the graph's output, have it rounded."""
    assert dtype is not None
    producer, readers = value.producer(), tuple(value.uses())
    down = ir.node("Cast", [value], attributes={"to": dtype})
    up = ir.node("Cast", down.outputs, attributes={"to": ir.DataType.FLOAT})
    value.type = ir.TensorType(ir.DataType.FLOAT)
    down.outputs[0].name, down.outputs[0].type = f"{value.name}/down", ir.TensorType(dtype)
    up.outputs[0].name, up.outputs[0].shape = f"{value.name}/up", value.shape
    up.outputs[0].type = value.type
    was_output = value.is_graph_output() and not value.is_graph_input()
    for use in readers:
        use.node.replace_input_with(use.idx, up.outputs[0])
    if was_output:  # an input that is one goes out as it came in
        graph.outputs[:] = [up.outputs[0] if out is value else out for out in graph.outputs]
    if was_output:
        value.name, up.outputs[0].name = f"{value.name}/exact", value.name
    if producer is None:
        graph.insert_before(graph[0], [down, up])
    else:
        graph.insert_after(producer, [down, up])

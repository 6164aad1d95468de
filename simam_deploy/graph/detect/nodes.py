"""The nodes of a detector's operators in a graph, and what is known of their results."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.errors import UsageError
from simam_deploy.graph.lower import FUNCTIONS_SINCE
from simam_deploy.op import contract, detection


def detection_nodes(model: ir.Model) -> list[ir.Node]:
    """List the nodes of the two operators in the main graph, in its order."""
    return [n for n in model.graph if n.domain == contract.DOMAIN and n.op_type in detection.INPUTS]


def check_detection_opset(model: ir.Model, opset: int) -> None:
    """Refuse an opset that the bodies cannot be written in.

    Raises:
        UsageError: There are such nodes, and the opset is below 18.
    """
    nodes = detection_nodes(model)
    if nodes and opset < FUNCTIONS_SINCE:
        raise UsageError(
            f"a detector ({nodes[0].op_type}) wants opset {FUNCTIONS_SINCE} or newer, got {opset}",
            options=("opset",),
        )


def note_types(model: ir.Model) -> bool:
    """Note types and shapes of the nodes' results where a type is missing, by the contract.

    ONNX's shape inference knows the operators by their bodies alone, and a graph that is still
    worked on has none.

    Returns:
        Whether anything was noted.
    """
    open_ones = [n for n in detection_nodes(model) if n.outputs[0].dtype is None]
    noted = [_note(node) for node in open_ones]
    return any(noted)


def _note(node: ir.Node) -> bool:
    like = node.inputs[1]  # x0 or the scores
    if like is None or like.dtype is None:
        return False
    (result,) = node.outputs
    result.type = ir.TensorType(like.dtype)
    result.shape = _aligned(node) if node.op_type == detection.ALIGN_OP_TYPE else like.shape
    return True


def _aligned(node: ir.Node) -> ir.Shape:
    """Give (N*R, C, S, S)."""
    rois, x0 = (value.shape if value is not None else None for value in node.inputs[:2])
    sizes = [] if rois is None else list(rois)[:2]
    known = len(sizes) == 2 and all(isinstance(size, int) for size in sizes)
    size = node.attributes["output_size"].as_int()
    channels = x0[1] if x0 is not None and len(x0) == 4 else None
    rows = sizes[0] * sizes[1] if known else None
    return ir.Shape([rows, channels, size, size])

"""Give a detector's operators their bodies, or put these in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from simam_deploy.graph.body_tape import LoopTape, SiteTape, function
from simam_deploy.graph.detect import LOOPS, ROUTED, STANDARD
from simam_deploy.graph.detect.align import by_roi_align
from simam_deploy.graph.detect.align_loop import by_grid_samples
from simam_deploy.graph.detect.align_own import by_own_rois
from simam_deploy.graph.detect.nms import by_non_max_suppression
from simam_deploy.graph.detect.nms_loop import by_rounds
from simam_deploy.graph.detect.nodes import check_detection_opset, detection_nodes
from simam_deploy.graph.lower.expand import forget_unused
from simam_deploy.op import contract, detection

Emit = Callable[[LoopTape, Sequence[ir.Value]], ir.Value]

_EMIT: Mapping[tuple[str, str], Emit] = {
    (detection.ALIGN_OP_TYPE, ROUTED): by_own_rois,
    (detection.ALIGN_OP_TYPE, STANDARD): by_roi_align,
    (detection.ALIGN_OP_TYPE, LOOPS): by_grid_samples,
    (detection.NMS_OP_TYPE, ROUTED): by_non_max_suppression,
    (detection.NMS_OP_TYPE, STANDARD): by_non_max_suppression,
    (detection.NMS_OP_TYPE, LOOPS): by_rounds,
}
_FLOATS = {"finest_scale", "iou_threshold"}
ROI_ALIGN_BELOW = 22
"""The opset whose RoiAlign, with bfloat16, ONNX Runtime 1.32 has no kernel for: not even a float's.
From there on all forms are the Loop, which is slower on a CPU."""


def with_detection_bodies(model: ir.Model, form: str, plugin: bool = False) -> int:
    """Give each kind of node its body, in place; one that the file brought is forgotten.

    Args:
        model: The model.
        form: One of `FORMS`.
        plugin: Whether the nodes name the plugin, as `lower_plugin` does for SimAM's.

    Returns:
        How many nodes there are.

    Raises:
        UsageError: The model's opset is below 18.
    """
    opset = model.opset_imports[""]
    check_detection_opset(model, opset)
    nodes = detection_nodes(model)
    for node in nodes:
        _name_plugin(node, plugin)
    for op_type in sorted({node.op_type for node in nodes}):
        written = detection_body(op_type, form, opset)
        model.functions[written.identifier()] = written
        model.opset_imports[contract.DOMAIN] = contract.OP_VERSION
    return len(nodes)


def without_detection_nodes(model: ir.Model, form: str) -> int:
    """Write plain ops where the nodes are; the model is changed in place.

    Args:
        model: The model.
        form: One of `FORMS`.

    Returns:
        How many nodes were replaced.

    Raises:
        UsageError: The model's opset is below 18.
    """
    opset = model.opset_imports[""]
    check_detection_opset(model, opset)
    nodes = detection_nodes(model)
    for node in nodes:
        tape = SiteTape(model.graph, node, opset)
        inputs = [value for value in node.inputs if value is not None]
        tape.replace(node, emit_of(node.op_type, form, opset)(tape, inputs))
    forget_unused(model)
    return len(nodes)


def detection_body(op_type: str, form: str, opset: int) -> ir.Function:
    """Give the FunctionProto's counterpart for one of the two operators.

    Args:
        op_type: The operator.
        form: One of `FORMS`.
        opset: The model's, 18 or newer.
    """
    names, emit = detection.INPUTS[op_type], emit_of(op_type, form, opset)
    return function(op_type, names, kinds_of(op_type), opset, emit)


def emit_of(op_type: str, form: str, opset: int) -> Emit:
    """Give what emits an operator in a form at an opset."""
    if op_type == detection.ALIGN_OP_TYPE and opset >= ROI_ALIGN_BELOW:
        form = LOOPS
    return _EMIT[op_type, form]


def kinds_of(op_type: str) -> dict[str, ir.AttributeType]:
    """Give the types of an operator's attributes by name."""
    return {
        name: ir.AttributeType.FLOAT if name in _FLOATS else ir.AttributeType.INT
        for name in detection.ATTRIBUTES[op_type]
    }


def _name_plugin(node: ir.Node, plugin: bool) -> None:
    for key, value in contract.PLUGIN_ATTRIBUTES.items():
        node.attributes.pop(key, None)
        if plugin:
            node.attributes[key] = ir.AttrString(key, value)

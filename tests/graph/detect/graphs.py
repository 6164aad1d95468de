"""Graphs of one of the two operators, and what they are given."""

import numpy as np
import onnx_ir as ir

from simam_deploy.op import contract, detection
from simam_deploy.op.detection import STRIDES

FINEST = 56.0


def align_model(shapes, number, size=7, ratio=0, finest=FINEST, opset=18, dtype="FLOAT"):
    """One MultilevelRoIAlign of maps of these shapes; a string is a free size.

    Maps of another dtype than float32 are cast to it, and the result back.
    """
    rois = ir.val("rois", ir.DataType.FLOAT, [shapes[0][0], number, 4])
    maps = [ir.val(f"x{i}", ir.DataType.FLOAT, shape) for i, shape in enumerate(shapes)]
    attributes = {"output_size": size, "sampling_ratio": ratio, "finest_scale": float(finest)}
    graph = _model(
        detection.ALIGN_OP_TYPE,
        [rois, *maps],
        attributes,
        opset,
        ir.Shape([None, shapes[0][1], size, size]),
    )
    if dtype != "FLOAT":
        _cast(graph.graph, ir.DataType[dtype])
    return graph


def _cast(graph, dtype):
    (node,) = list(graph)
    kind = ir.TensorType(dtype)
    for i, x in enumerate(node.inputs[1:], 1):
        half = ir.Value(name=f"{x.name}/half", type=kind, shape=x.shape)
        graph.insert_before(node, ir.node("Cast", [x], {"to": dtype}, outputs=[half]))
        node.replace_input_with(i, half)
    (y,) = node.outputs
    out = ir.Value(name=y.name, type=y.type, shape=y.shape)
    y.name, y.type = "half", kind
    graph.append(ir.node("Cast", [y], {"to": ir.DataType.FLOAT}, outputs=[out]))
    graph.outputs[0] = out


def nms_model(batch, number, threshold=0.5, groups=1, opset=18):
    """One BatchedNMS."""
    inputs = [
        ir.val("boxes", ir.DataType.FLOAT, [batch, number, 4]),
        ir.val("scores", ir.DataType.FLOAT, [batch, number]),
        ir.val("groups", ir.DataType.INT64, [batch, number]),
    ]
    attributes = {"iou_threshold": float(threshold), "num_groups": groups}
    return _model(detection.NMS_OP_TYPE, inputs, attributes, opset, ir.Shape([batch, number]))


def _model(op_type, inputs, attributes, opset, shape):
    out = ir.Value(name="out", type=inputs[1].type, shape=shape)
    node = ir.node(
        op_type, inputs, attributes, domain=contract.DOMAIN, outputs=[out], name=f"/{op_type}"
    )
    imports = {"": opset, contract.DOMAIN: contract.OP_VERSION}
    graph = ir.Graph(inputs, [out], nodes=[node], opset_imports=imports, name="g")
    return ir.Model(graph, ir_version=10 if opset > 21 else 9)


def pyramid(height, width, channels=3, batch=1, seed=0):
    """Draw four maps of an image of that size."""
    draw = np.random.default_rng(seed).standard_normal
    return [draw((batch, channels, height // s, width // s)).astype(np.float32) for s in STRIDES]

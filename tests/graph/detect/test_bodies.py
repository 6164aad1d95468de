"""What the bodies are, beside what they compute."""

import itertools

import onnx
import onnx_ir as ir
import pytest

from simam_deploy.errors import UsageError
from simam_deploy.graph.detect import FORMS, LOOPS, STANDARD
from simam_deploy.graph.detect.bodies import (
    detection_body,
    with_detection_bodies,
    without_detection_nodes,
)
from simam_deploy.graph.detect.nodes import detection_nodes
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op import contract, detection
from tests.graph.detect.graphs import align_model, nms_model
from tests.graph.onnx_text import ops

SHAPES = [(2, 3, 128 // s, 160 // s) for s in detection.STRIDES]
FREE = [("n", 3, f"h{i}", f"w{i}") for i in range(4)]
NOT_IN_RTX = {"RoiAlign", "NonMaxSuppression", "NonZero", "Compress", "TopK"}


def both(free, opset=18):
    """Give a graph of each operator."""
    shapes, number = (FREE, "m") if free else (SHAPES, 40)
    return align_model(shapes, 12, opset=opset), nms_model(shapes[0][0], number, opset=opset)


def all_ops(graph):
    nodes = list(graph.graph.all_nodes())
    for function in graph.functions.values():
        nodes += function.all_nodes()
    return {node.op_type for node in nodes}


@pytest.mark.parametrize("opset", [18, 21, 23])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("op_type", list(detection.INPUTS))
def test_the_body_is_a_function_of_the_contract(op_type, form, opset):
    proto = ir.serde.serialize_function(detection_body(op_type, form, opset))
    assert (proto.domain, proto.name) == (contract.DOMAIN, op_type)
    assert tuple(proto.input) == detection.INPUTS[op_type]
    assert tuple(proto.attribute) == detection.ATTRIBUTES[op_type]
    assert not proto.attribute_proto
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", opset)]


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("way", [with_detection_bodies, without_detection_nodes])
def test_the_loops_hold_nothing_that_rtx_has_not(way, free):
    for graph in both(free):
        way(graph, LOOPS)
        assert "Loop" in all_ops(graph)
        assert not NOT_IN_RTX & all_ops(graph)
    for graph in both(free):
        way(graph, STANDARD)
        assert NOT_IN_RTX & all_ops(graph)
        assert "Loop" not in all_ops(graph)


def test_a_roi_align_that_no_runtime_has_is_not_written():
    """ONNX Runtime has no kernel for opset 22's."""
    graph, _ = both(free=False, opset=22)
    without_detection_nodes(graph, STANDARD)
    assert "RoiAlign" not in all_ops(graph)


@pytest.mark.parametrize("form", FORMS)
def test_strict_inference_sees_through_the_functions(form):
    """But for sizes that follow from attributes, or behind a Loop; types are known."""
    for graph, opset in itertools.product(range(2), (18, 23)):
        model = both(free=False, opset=opset)[graph]
        with_detection_bodies(model, form)
        proto = ir.to_proto(model)
        proto.graph.output[0].type.Clear()
        inferred = onnx.shape_inference.infer_shapes(proto, True, True, True)
        kind = inferred.graph.output[0].type.tensor_type
        assert kind.elem_type == onnx.TensorProto.FLOAT
        sizes = [d.dim_value for d in kind.shape.dim]
        known = ([24, 3, 7, 7], [2, 40])[graph]
        assert not sizes or all(a in (0, b) for a, b in zip(sizes, known, strict=True))


def test_every_kind_brings_its_body_and_no_other():
    align, nms = both(free=False)
    assert with_detection_bodies(align, LOOPS) == 1
    assert [name for _, name, _ in align.functions] == [detection.ALIGN_OP_TYPE]
    assert with_detection_bodies(nms, LOOPS, plugin=True) == 1
    (node,) = detection_nodes(nms)
    named = {k: node.attributes[k].as_string() for k in contract.PLUGIN_ATTRIBUTES}
    assert named == contract.PLUGIN_ATTRIBUTES
    with_detection_bodies(nms, STANDARD)
    assert node.attributes.keys() == set(detection.ATTRIBUTES[detection.NMS_OP_TYPE])
    assert len(nms.functions) == 1
    assert "NonMaxSuppression" in all_ops(nms)


def test_in_place_nothing_of_the_domain_is_left():
    for graph, form in itertools.product(both(free=False), FORMS):
        model = graph.clone()
        with_detection_bodies(model, LOOPS)
        assert without_detection_nodes(model, form) == 1
        assert not model.functions
        assert contract.DOMAIN not in model.opset_imports
        assert contract.DOMAIN not in {node.domain for node in model.graph.all_nodes()}


def test_lowering_simam_leaves_the_bodies():
    """They stand in one domain, and a graph without SimAM has none of it left otherwise."""
    graph, _ = both(free=False)
    with_detection_bodies(graph, STANDARD)
    assert lower_portable(graph) == 0
    assert [name for _, name, _ in graph.functions] == [detection.ALIGN_OP_TYPE]
    assert graph.opset_imports[contract.DOMAIN] == contract.OP_VERSION
    assert ops(graph) == [detection.ALIGN_OP_TYPE]
    assert not simam_nodes(graph)


@pytest.mark.parametrize("way", [with_detection_bodies, without_detection_nodes])
def test_an_old_opset_is_refused_in_one_line(way):
    for graph in both(free=False, opset=17):
        with pytest.raises(UsageError, match=r"a detector \(\w+\) wants opset 18 or newer, got 17"):
            way(graph, STANDARD)

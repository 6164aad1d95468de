"""TensorRT-RTX takes the loops; its builder needs no GPU, and nothing is run."""

import onnx_ir as ir
import pytest

from simam_deploy.graph.detect import LOOPS
from simam_deploy.graph.detect.bodies import with_detection_bodies, without_detection_nodes
from simam_deploy.op.detection import STRIDES
from tests.graph.detect.graphs import align_model, nms_model

trt = pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)

SHAPES = [(2, 4, 64 // s, 96 // s) for s in STRIDES]
FREE = [("n", 4, f"h{i}", f"w{i}") for i in range(4)]


def built(graph, **ranges):
    """Build a plan, of dynamic inputs' ranges; give its size in bytes."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network, config = builder.create_network(typed), builder.create_builder_config()
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(ir.to_proto(graph).SerializeToString()), parser.get_error(0).desc()
    if ranges:
        profile = builder.create_optimization_profile()
        for name, (least, most) in ranges.items():
            profile.set_shape(name, least, least, most)
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    return 0 if plan is None else memoryview(plan).nbytes


def as_plugin(graph, form):
    """With the plugin's name in the node, and no plugin: the body is taken."""
    with_detection_bodies(graph, form, plugin=True)


@pytest.mark.parametrize("way", [without_detection_nodes, as_plugin])
def test_nms_builds(way):
    graph = nms_model(2, 50, groups=3)
    way(graph, LOOPS)
    assert built(graph)


def test_nms_of_any_number_builds():
    graph = nms_model("n", "m", groups=3)
    without_detection_nodes(graph, LOOPS)
    flat = ((1, 50), (2, 100))
    assert built(graph, boxes=((1, 50, 4), (2, 100, 4)), scores=flat, groups=flat)


@pytest.mark.parametrize("dtype", ["FLOAT", "FLOAT16"])
def test_roi_align_builds(dtype):
    graph = align_model(SHAPES, 12, dtype=dtype)
    without_detection_nodes(graph, LOOPS)
    assert built(graph)


def test_roi_align_of_a_plugin_that_is_not_there_builds():
    graph = align_model(SHAPES, 12)
    as_plugin(graph, LOOPS)
    assert built(graph)


def test_roi_align_of_any_size_builds():
    graph = align_model(FREE, 12)
    without_detection_nodes(graph, LOOPS)
    ranges = {
        f"x{i}": ((1, 4, 64 // s, 96 // s), (2, 4, 96 // s, 128 // s))
        for i, s in enumerate(STRIDES)
    }
    assert built(graph, rois=((1, 12, 4), (2, 12, 4)), **ranges)

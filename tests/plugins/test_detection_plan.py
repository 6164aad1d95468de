"""A detector's two plugins in TensorRT-RTX, whose builder needs neither a GPU nor a driver.

The plan's text is no interface: a new version may move these figures.
"""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.detect import LOOPS
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.prepare import for_engine
from simam_deploy.op import contract, detection
from tests.graph.detect.test_orders import small
from tests.graph.onnx_text import model
from tests.plugins.test_rtx_plan import library

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)

from bench.engines import plan
from bench.rtx_plan import count_launches, plugin_strides

DTYPES = {"fp32": ("float", np.float32), "fp16": ("float16", np.float16)}
LAUNCHES = 8
"""Four convolutions, the two plugins, and what TensorRT-RTX makes of the outputs."""


def network(precision="fp32", size="64,96", groups="int64", **attributes):
    """Four maps from convolutions, RoIs read from them, and boxes suppressed."""
    name, dtype = DTYPES[precision]
    graph = model(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g ({name}[1,3,{size}] image, float[1,50,4] boxes, float[1,50] scores,
           {groups}[1,50] groups) => ({name}[50,8,7,7] y, float[1,50] kept) {{
            x0 = Conv<pads = [1, 1, 1, 1], strides = [4, 4]>(image, v)
            x1 = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x0, w)
            x2 = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x1, w)
            x3 = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x2, w)
            [read] a = simam.MultilevelRoIAlign<
                output_size = 7, sampling_ratio = 0, finest_scale = 56.0>(boxes, x0, x1, x2, x3)
            y = Identity(a)
            [suppress] kept = simam.BatchedNMS<
                iou_threshold = 0.5, num_groups = 80>(boxes, scores, groups)
        }}""",
        v=np.ones((8, 3, 3, 3), dtype),
        w=np.ones((8, 8, 3, 3), dtype),
    )
    for node in graph.graph:
        if node.op_type in detection.ATTRIBUTES:
            for key, value in contract.PLUGIN_ATTRIBUTES.items():
                node.attributes[key] = ir.AttrString(key, value)
            for key in attributes.keys() & node.attributes.keys():
                _replace(node.attributes, key, attributes[key])
    return graph


def _replace(attributes, key, value):
    """Give an attribute another value, of a type, or take it out."""
    del attributes[key]
    if value is not None:
        attributes[key] = ir.Attr(key, *value)


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("size", ["64,96", "h,w"])
def test_both_are_built_and_nothing_is_laid_out_anew(precision, size):
    made = plan(network(precision, size), library("tensorrt_rtx"))
    assert made.count(b"custom_layer={") == 2
    assert count_launches(made) <= LAUNCHES


@pytest.mark.parametrize("precision", DTYPES)
def test_maps_are_read_with_channels_last(precision):
    made = plan(network(precision), library("tensorrt_rtx"))
    (strides,) = [each for each in plugin_strides(made) if each]
    assert [channel for _, channel, _, _ in strides] == [1, 1, 1, 1, 49]
    assert {column for _, _, _, column in strides[:4]} == {8}


def test_the_library_for_tensorrt_costs_a_transpose_a_map_here():
    made = plan(network("fp16"), library("tensorrt"))
    assert count_launches(made) == LAUNCHES + 4


def test_groups_of_32_bits():
    assert b"custom_layer={" in plan(network(groups="int32"), library("tensorrt_rtx"))


INT, FLOAT = ir.AttributeType.INT, ir.AttributeType.FLOAT


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"output_size": (INT, 0)}, "MultilevelRoIAlign read: output_size must be 1 to 128, got 0"),
        ({"sampling_ratio": (INT, -1)}, "sampling_ratio must be 0 to 128, got -1"),
        ({"finest_scale": (FLOAT, float("nan"))}, "finest_scale must be finite and above 0"),
        ({"finest_scale": None}, "MultilevelRoIAlign read: attribute finest_scale is missing"),
        ({"iou_threshold": (FLOAT, 2.0)}, "BatchedNMS suppress: iou_threshold must be 0 to 1"),
        ({"num_groups": (INT, 0)}, "BatchedNMS suppress: num_groups must be 1 to 2147483647"),
    ],
)
def test_a_bad_attribute_is_refused_in_our_words(attributes, message):
    with pytest.raises(ValueError, match=message):
        plan(network(**attributes), library("tensorrt_rtx"))


def test_maps_that_do_not_fit_are_refused_in_our_words():
    graph = network()
    (read,) = [node for node in graph.graph if node.op_type == detection.ALIGN_OP_TYPE]
    read.replace_input_with(1, graph.graph.inputs[0])
    with pytest.raises(ValueError, match=r"the maps must be \(N, C, H, W\)"):
        plan(graph, library("tensorrt_rtx"))


def test_more_boxes_than_the_kernel_takes_are_refused_in_our_words():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[1,16385,4] boxes, float[1,16385] scores, int64[1,16385] groups)
            => (float[1,16385] kept) {
            kept = simam.BatchedNMS<iou_threshold = 0.5, num_groups = 80,
                plugin_namespace = "simam", plugin_version = "1">(boxes, scores, groups)
        }"""
    )
    with pytest.raises(ValueError, match="takes 16384 boxes a batch entry, got 16385"):
        plan(graph, library("tensorrt_rtx"))


@pytest.mark.parametrize("shape", ["2,3,32,64", "n,3,h,w"])
def test_a_graph_as_engines_get_it(shape):
    """SimAM, BatchedNMS and MultilevelRoIAlign, each with a body; the plugins stand in for all."""
    graph = typed(small(shape))
    for_engine(graph, "plugin", LOOPS, plugin=True)
    made = plan(graph, library("tensorrt_rtx"))
    assert made.count(b"custom_layer={") == 3

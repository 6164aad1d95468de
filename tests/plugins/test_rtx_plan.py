"""ONNX to plan with the compiled library, in TensorRT-RTX, whose builder needs no GPU.

The plan's text is no interface: a new version may move these figures.
"""

import functools
import shutil
import subprocess

import onnx_ir as ir
import pytest

from simam_deploy.graph.lower.plugin import lower_plugin
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op.find import LIBRARIES, find_plugin
from tests.graph.onnx_text import model
from tests.precision.half.graphs import draw

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)

from bench.engines import plan
from bench.plugin_launches import layouts, plugin_model
from bench.rtx_plan import count_launches, plugin_strides

network = functools.cache(plugin_model)


def library(flavour):
    found = find_plugin(flavour)
    if found is None:
        pytest.skip("the plugin is not built: scripts/build_plugin makes it")
    return found


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    ("name", "batch", "sites", "most"),
    [("resnet50", "batch", 16, 74), ("resnet18", "batch", 8, 32), ("resnet18", 8, 8, 32)],
)
def test_one_launch_a_site_and_nothing_around_it(name, batch, sites, most, precision):
    """Without SimAM there are 58 and 24, a max pool among them; by plain ops 83 and 35."""
    plugin = library("tensorrt_rtx")
    made = plan(network(name, batch, precision), plugin)
    assert len(plugin_strides(made)) == sites
    assert layouts(plugin_strides(made)) == "NHWC"
    assert count_launches(made) <= most


def test_bfloat16_is_taken_linear():
    """It has no plain kHWC there, and what offers nothing does not build."""
    plugin = library("tensorrt_rtx")
    made = plan(network("resnet18", 8, "bf16"), plugin)
    assert len(plugin_strides(made)) == 8
    assert layouts(plugin_strides(made)) == "NCHW"


def test_the_library_for_tensorrt_costs_reformats_here():
    plugin = library("tensorrt")
    made = plan(network("resnet18", 8, "fp16"), plugin)
    assert layouts(plugin_strides(made)) == "NCHW"
    assert count_launches(made) >= 50


def test_channels_are_not_padded():
    graph = between_convolutions(e_lambda=0.1)
    made = plan(graph, library("tensorrt_rtx"))
    ((y, x),) = plugin_strides(made)
    assert x == y == (13 * 11 * 5, 1, 11 * 5, 5)


def test_free_height_and_width():
    made = plan(between_convolutions("1,3,h,w", e_lambda=0.1), library("tensorrt_rtx"))
    assert b"custom_layer={" in made


def test_a_bad_attribute_is_refused_in_our_words():
    with pytest.raises(ValueError, match="SimAM site: e_lambda must be finite and not negative"):
        plan(between_convolutions(e_lambda=-1.0), library("tensorrt_rtx"))


def between_convolutions(shape="1,3,13,11", e_lambda=0.1):
    inner = shape.replace(",3,", ",5,")
    graph = model(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[{shape}] x) => (float[{shape}] y) <float[{inner}] a, float[{inner}] b> {{
            a = Conv<pads = [1, 1, 1, 1]>(x, v)
            [site] b = simam.SimAM<e_lambda = 0.1>(a)
            y = Conv<pads = [1, 1, 1, 1]>(b, w)
        }}""",
        v=draw(5, 3, 3, 3),
        w=draw(3, 5, 3, 3),
    )
    (node,) = simam_nodes(graph)
    node.attributes["e_lambda"] = ir.AttrFloat32("e_lambda", e_lambda)
    lower_plugin(graph)
    return graph


@pytest.mark.parametrize("flavour", list(LIBRARIES))
def test_the_library_gives_away_two_symbols_and_wants_no_nvidia_library(flavour):
    path = library(flavour)
    if shutil.which("nm") is None or shutil.which("readelf") is None:
        pytest.skip("nm or readelf is missing")
    symbols = run("nm", "-D", "--defined-only", path).split("\n")
    assert [line.split()[-1] for line in symbols if line] == ["getCreators", "setLoggerFinder"]
    needed = [line for line in run("readelf", "-d", path).split("\n") if "NEEDED" in line]
    assert needed
    assert not [line for line in needed if "nv" in line or "cuda" in line or "tensorrt" in line]


@pytest.mark.parametrize("flavour", list(LIBRARIES))
def test_the_library_is_small(flavour):
    assert library(flavour).stat().st_size < 3 << 20


def run(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=True).stdout

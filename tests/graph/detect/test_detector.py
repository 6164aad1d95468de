"""A whole detector, tiny, from torch through its file to the form of an engine."""

import functools
import warnings

import numpy as np
import onnx_ir as ir
import pytest
import torch

from simam_deploy.graph.detect import LOOPS
from simam_deploy.graph.detect.nodes import detection_nodes
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import for_engine, for_runtime, plain, with_sites
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op.detection import STRIDES
from tests.graph.onnx_text import run
from tests.models.detectors import tiny

OUTPUTS = ["num_dets", "boxes", "scores", "labels", "masks"]
SIZES = [(2, 64, 96), (1, 96, 64)]


def export(model):
    """Export a detector, of free batch, height and width."""
    free = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        # torch 2.13's exporter calls a pytree function it has deprecated itself.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        program = torch.onnx.export(
            model, tiny.inputs(2), dynamo=True, verbose=False, opset_version=18,
            input_names=["image", "image_size"], output_names=OUTPUTS,
            dynamic_shapes=(free, {0: "batch"}),
        )  # fmt: skip
    return ir.from_proto(program.model_proto)


@functools.cache
def exported():
    """Export the tiny one; tests take a clone."""
    return export(tiny.detector())


@functools.cache
def written(folder, lowering="portable"):
    file = folder / f"{lowering}.onnx"
    write_model(for_runtime(typed(exported().clone()), 18, True, lowering), file)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("detector")


def answers(graph, size):
    image, sizes = tiny.inputs(*size)
    return run(graph, image=image.numpy(), image_size=sizes.numpy())


def assert_alike(found, wanted):
    """Detections stand in the order of their scores, which here are apart."""
    assert wanted[0].min() > 2
    for name, one, other in zip(OUTPUTS, found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-3, err_msg=name)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lowering", ["portable", "function"])
def test_the_file_computes_what_torch_does(lowering, size, folder):
    graph = read_model(written(folder, lowering))
    with torch.no_grad():
        wanted = [output.numpy() for output in tiny.detector()(*tiny.inputs(*size))]
    assert_alike(answers(graph, size), wanted)


@pytest.mark.parametrize("size", SIZES)
def test_an_engine_s_graph_computes_what_the_file_does(size, folder):
    graph = engine_graph(folder)
    wanted = answers(plain(exported().clone()), size)
    assert_alike(answers(graph, size), wanted)


def engine_graph(folder):
    """Give the loops of a file in plain ops, whose nodes are found again."""
    graph, _ = with_sites(read_model(written(folder)))
    assert len(simam_nodes(graph)) == 8
    assert len(detection_nodes(graph)) == 4
    for_engine(graph, "flat", LOOPS, plugin=False)
    assert not graph.functions
    missing = {"RoiAlign", "NonMaxSuppression", "NonZero", "Compress"}
    assert not missing & {node.op_type for node in graph.graph.all_nodes()}
    return graph


def test_a_file_with_nodes_keeps_them_and_its_types(folder):
    graph = typed(read_model(written(folder, "plugin")))
    nodes = detection_nodes(graph)
    assert len(nodes) == 4
    assert all("plugin_version" in node.attributes for node in nodes)


@pytest.mark.slow
def test_tensorrt_rtx_builds_it(folder):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is missing")
    from tests.graph.detect.test_rtx import built

    assert max(STRIDES) * 2 == 64
    least, most = ((n, 3, h, w) for n, h, w in ((1, 64, 64), (2, 128, 160)))
    assert built(engine_graph(folder), image=(least, most), image_size=((1, 2), (2, 2)))

"""What TensorRT-RTX makes of an int8 file; plans build without a GPU, and can be read."""

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.precision.int8 import quantise
from simam_deploy.source.samples import open_dataset

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)

from rtx_plan import kernels

from bench.engines import eight_bit_convolutions, plan, traced


@pytest.mark.parametrize(
    "name", ["cifar_resnet20", pytest.param("mobilenet_v2", marks=pytest.mark.slow)]
)
def test_every_layer_is_an_int8_kernel_and_pairs_are_taken_in(name, tmp_path):
    graph = traced(name, 1)
    sites = len(simam_nodes(graph))
    LOWERINGS["flat"](graph)
    tidy(graph)
    write_model(graph, tmp_path / "m.onnx")
    shape = tuple(graph.graph.inputs[0].shape.numpy())
    drawn = np.random.default_rng(0).standard_normal((2, *shape[1:])).astype(np.float32)
    np.save(tmp_path / "x.npy", drawn)
    dataset = open_dataset(tmp_path / "x.npy", [TensorSpec("input", "float32", shape)], None)
    quantised = quantise(tmp_path / "m.onnx", dataset)
    built = plan(quantised.model)
    assert eight_bit_convolutions(built) == quantised.layers
    # RTX 1.7 takes no bias, ReLU and next quantisation into an int8 convolution, not even in a
    # plain chain: one kernel for them behind each. Where a SimAM is behind, its kernel does it.
    before = len(kernels(plan(read_model(tmp_path / "m.onnx"))))
    assert len(kernels(built)) <= before + quantised.layers - sites + 1
    alone = [kernel for kernel in kernels(built) if kernel == "__myl_MulMinMaxRounCast"]
    assert len(alone) <= 1  # behind the first layer, which stays float32

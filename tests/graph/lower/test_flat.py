import numpy as np
import pytest

from simam_deploy.graph.lower.flat import lower_flat
from simam_deploy.graph.prepare import for_engine
from simam_deploy.op.contract import simam_reference
from tests.graph.onnx_text import model, ops, run, simam_model

SIZES = [("112,112", True), ("112,113", False), ("h,w", False)]


@pytest.mark.parametrize(("size", "small"), SIZES)
def test_a_plane_is_flattened_where_one_run_is_exact(size, small):
    graph = simam_model(f"n,3,{size}")
    lower_flat(graph)
    assert ops(graph).count("Flatten") == small
    assert ops(graph).count("ReduceMean") == (3 if small else 6)


@pytest.mark.parametrize(("size", "small"), SIZES)
def test_an_engine_is_built_from_one_run_of_any_plane(size, small):
    """A second mean is free where TensorRT makes one kernel of it, and two where it does not."""
    graph = simam_model(f"n,3,{size}")
    for_engine(graph, "flat", "loops", plugin=False)
    assert ops(graph).count("Flatten") == 1
    assert ops(graph).count("ReduceMean") == (3 if small else 2)
    height, width = (112, 113) if size == "h,w" else map(int, size.split(","))
    x = np.random.default_rng(0).standard_normal((1, 3, height, width)).astype(np.float32)
    np.testing.assert_allclose(run(graph, x=x)[0], simam_reference(x, 0.1), rtol=2e-6)


def test_planes_of_both_kinds_in_one_graph():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[1,3,200,200] x) => (float[1,3,100,100] y)
            <float[1,3,200,200] a, float[1,3,100,100] b>
        {
            a = simam.SimAM<e_lambda = 0.1>(x)
            b = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
            y = simam.SimAM<e_lambda = 0.2>(b)
        }"""
    )
    assert lower_flat(graph) == 2
    assert "simam" not in graph.opset_imports
    assert ops(graph).count("Flatten") == 1
    x = np.random.default_rng(0).standard_normal((1, 3, 200, 200)).astype(np.float32)
    pooled = simam_reference(x, 0.1).reshape(1, 3, 100, 2, 100, 2).max(axis=(3, 5))
    np.testing.assert_allclose(run(graph, x=x)[0], simam_reference(pooled, 0.2), rtol=2e-6)

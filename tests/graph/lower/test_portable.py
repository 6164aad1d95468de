import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.lower.nopow import lower_nopow
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.op.contract import simam_reference
from tests.graph.onnx_text import model, ops, run, simam_model

PUBLISHED = {"ReduceMean", "Sub", "Pow", "Div", "Sigmoid", "Mul", "Add"}
X = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype(np.float32)


def test_biased_variance_would_be_seen():
    """At 5x7 a division by H*W moves the result by 2e-3: three orders above the tolerance."""
    d2 = (X - X.mean((2, 3), keepdims=True)) ** 2
    gate = 1 / (1 + np.exp(-(d2 / (4 * (d2.mean((2, 3), keepdims=True) + 0.1)) + 0.5)))
    assert np.abs(X * gate / simam_reference(X, 0.1) - 1).max() > 1e-3


@pytest.mark.parametrize(
    ("size", "means"), [("5,7", 3), ("56,56", 3), ("56,57", 6), ("1024,1024", 6)]
)
def test_a_site_is_made_of_the_published_ops(size, means):
    graph = simam_model(f"n,3,{size}")
    lower_portable(graph)
    emitted = ops(graph)[1:-1]
    rest = ["Add", "Add", "Div", "Mul", "Mul", "Pow", "Sigmoid", "Sub", "Sub"]
    assert sorted(emitted) == sorted([*rest, *["ReduceMean"] * means])
    assert set(emitted) == PUBLISHED
    assert "simam" not in graph.opset_imports


@pytest.mark.parametrize(("opset", "more"), [(13, {"Slice"}), (18, set())])
def test_free_sizes_need_their_shape_besides(opset, more):
    graph = simam_model("n,3,h,w", opset)
    lower_portable(graph)
    emitted = ops(graph)[1:-1]
    assert set(emitted) == PUBLISHED | {"Shape", "ReduceProd", "Cast", "Reshape"} | more
    assert len(emitted) == 15 + 8 + len(more)


def test_nopow_is_the_same_but_for_its_square():
    graphs = [simam_model("n,3,5,7") for _ in range(2)]
    lower_portable(graphs[0])
    lower_nopow(graphs[1])
    portable, nopow = map(ops, graphs)
    assert [op.replace("Pow", "Mul") for op in portable] == nopow
    assert portable.count("Pow") == 1


def test_numbers_have_the_rank_of_the_map():
    """ONNX Runtime takes 16 times as long over (1, C, 1, 1) and a number of shape ()."""
    graph = simam_model("n,3,5,7")
    lower_portable(graph)
    floats = [v for v in graph.graph.initializers.values() if v.dtype == ir.DataType.FLOAT]
    assert [v.shape for v in floats] == [(1, 1, 1, 1)] * 4


def test_axes_follow_the_opset():
    for opset, in_attribute in ((17, True), (18, False)):
        graph = simam_model("2,3,5,7", opset)
        lower_portable(graph)
        means = [n for n in graph.graph if n.op_type == "ReduceMean"]
        assert [("axes" in n.attributes, len(n.inputs)) for n in means] == (
            [(in_attribute, 1 if in_attribute else 2)] * 3
        )


def test_sites_of_equal_dynamic_size_share_their_count():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[n,3,h,w] x) => (float[n,3,h,w] y) <float[n,3,h,w] a> {
            a = simam.SimAM<e_lambda = 0.1>(x)
            y = simam.SimAM<e_lambda = 0.2>(a)
        }"""
    )
    lower_portable(graph)
    assert ops(graph).count("Shape") == 1
    expected = simam_reference(simam_reference(X, 0.1), 0.2)
    np.testing.assert_allclose(run(graph, x=X)[0], expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("unknown", [None, ir.Shape([2, 3, None, None])])
def test_sites_of_unknown_size_do_not(unknown):
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[2,3,5,7] x) => (float[2,3,p,q] y) {
            a = MaxPool<kernel_shape = [2, 2]>(x)
            b = simam.SimAM<e_lambda = 0.1>(a)
            c = MaxPool<kernel_shape = [2, 2]>(b)
            y = simam.SimAM<e_lambda = 0.2>(c)
        }"""
    )
    for node in list(graph.graph)[:-1]:
        node.outputs[0].shape = unknown
    lower_portable(graph)
    assert ops(graph).count("Shape") == 2
    expected = simam_reference(pooled(simam_reference(pooled(X), 0.1)), 0.2)
    np.testing.assert_allclose(run(graph, x=X)[0], expected, rtol=2e-6, atol=1e-7)


def pooled(x):
    height, width = x.shape[2] - 1, x.shape[3] - 1
    return np.max([x[..., i : i + height, j : j + width] for i in (0, 1) for j in (0, 1)], axis=0)


def test_names_of_the_node_lead_those_of_its_parts():
    graph = simam_model("2,3,5,7")
    lower_portable(graph)
    names = [n.name for n in graph.graph][1:-1]
    assert all(name.startswith("site/") for name in names)
    assert len(set(names)) == len(names)

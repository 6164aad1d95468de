import numpy as np
import pytest

from simam_deploy.graph.passes.tidy import tidy
from tests.graph.onnx_text import model, ops, run

X = np.random.default_rng(0).standard_normal(6).astype(np.float32)


def graph_of(body, outputs="float[6] y", more=""):
    return model(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1{more}]>
        g (float[6] x) => ({outputs}) <float[6] k = {{1, 2, 3, 4, 5, 6}}> {{ {body} }}"""
    )


@pytest.mark.parametrize(
    ("body", "outputs", "left"),
    [
        ("a = Relu(x) b = Relu(x) y = Add(a, b)", "float[6] y", ["Relu", "Add"]),
        ("a = Relu(x) b = Relu(a) c = Relu(x) d = Relu(c) y = Add(b, d)", "float[6] y",
         ["Relu", "Relu", "Add"]),
        ("y = Relu(x) z = Relu(x)", "float[6] y, float[6] z", ["Relu", "Identity"]),
        ("a = Softmax<axis = 0>(x) b = Softmax<axis = 0>(x) y = Sub(a, b)", "float[6] y",
         ["Softmax", "Sub"]),
        ("a = Dropout(x) b = Dropout(x) y = Add(a, b)", "float[6] y", ["Dropout", "Add"]),
        ("a = Add(x, k) b = Relu(a) y = Sigmoid(x)", "float[6] y", ["Sigmoid"]),
    ],
    ids=["twice", "chain", "outputs", "attributes", "Dropout at rest", "dead"],
)  # fmt: skip
def test_computes_once_and_only_what_is_read(body, outputs, left):
    graph = graph_of(body, outputs)
    before = run(graph, x=X)
    assert tidy(graph)
    assert ops(graph) == left
    for got, expected in zip(run(graph, x=X), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_initializers_that_nothing_reads_go():
    graph = graph_of("y = Relu(x)")
    assert tidy(graph)
    assert not graph.graph.initializers


@pytest.mark.parametrize(
    "body",
    [
        "a = Relu(x) b = Elu(x) c = Add(a, b) y = Add(c, k)",
        "a = Softmax<axis = 0>(x) b = Softmax<axis = -1>(x) c = Sub(a, b) y = Add(c, k)",
        "a = RandomNormalLike(x) b = RandomNormalLike(x) c = Sub(a, b) y = Add(c, k)",
        "a = Bernoulli(x) b = Bernoulli(x) c = Sub(a, b) y = Add(c, k)",
        "t = Constant<value = bool {1}>() r = Constant<value_float = 0.5>()"
        "a = Dropout(x, r, t) b = Dropout(x, r, t) c = Sub(a, b) y = Add(c, k)",
    ],
    ids=["other op", "other attribute", "random", "Bernoulli", "training Dropout"],
)
def test_leaves_alone_what_differs_or_may(body):
    graph = graph_of(body)
    before = ops(graph)
    assert not tidy(graph)
    assert ops(graph) == before


def test_an_unknown_domain_may_hold_chance():
    graph = graph_of("a = there.Op(x) b = there.Op(x) c = Add(a, b) y = Add(c, k)",
                     more=', "there" : 1')  # fmt: skip
    assert not tidy(graph)
    assert ops(graph) == ["Op", "Op", "Add", "Add"]


def test_our_own_operators_hold_none():
    graph = graph_of("a = simam.SimAM<e_lambda = 0.1>(x) b = simam.SimAM<e_lambda = 0.1>(x)"
                     "c = simam.SimAM<e_lambda = 0.2>(x) d = Add(a, b) e = Add(c, d)"
                     "y = Add(e, k)")  # fmt: skip
    assert tidy(graph)
    assert ops(graph) == ["SimAM", "SimAM", "Add", "Add", "Add"]


def test_what_a_branch_reads_stays():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[6] x, bool p) => (float[6] y) {
            a = Relu(x)
            y = If(p) <
                then_branch = t () => (float[6] z) { z = Neg(a) },
                else_branch = e () => (float[6] w) { w = Identity(x) }
            >
        }"""
    )
    assert not tidy(graph)
    assert ops(graph) == ["Relu", "If"]

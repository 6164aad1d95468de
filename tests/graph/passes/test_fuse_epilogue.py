import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.lower.function import lower_function
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.graph.passes.fuse_epilogue import fuse_epilogue
from tests.graph.onnx_text import model, ops, run

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 5, 7)).astype(np.float32)
SIMAM = "a = simam.SimAM<e_lambda = 0.1>(x)"
NORM = "b = BatchNormalization<epsilon = 0.01>(a, s, o, m, v)"


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def graph_of(body, outputs="", shape="2,4,5,7", more=""):
    """`body` reads x and the skip r, both of `shape`, or the constants s, o, m, v, zero and six."""
    graph = model(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[{shape}] x, float[{shape}] r{more}) => (float[{shape}] y{outputs})
            <float zero = {{0}}, float six = {{6}}> {{ {body} }}""",
        s=draw(4),
        o=draw(4),
        m=draw(4),
        v=np.abs(draw(4)) + 0.5,
    )
    kind = ir.TensorType(ir.DataType.FLOAT)
    for node in graph.graph:
        for value in node.outputs:  # shapes as an exporter notes them
            value.shape, value.type = value.shape or graph.graph.inputs[0].shape, kind
    return graph


FUSED = {
    "norm": (f"{SIMAM} y = BatchNormalization(a, s, o, m, v)", "SimAMEpilogue"),
    "norm, relu": (f"{SIMAM} {NORM} y = Relu(b)", "SimAMEpilogue"),
    "norm, relu6": (f"{SIMAM} {NORM} y = Clip(b, zero, six)", "SimAMEpilogue"),
    "norm, one bound": (f"{SIMAM} {NORM} y = Clip(b, , six)", "SimAMEpilogue"),
    "norm, skip": (f"{SIMAM} {NORM} y = Add(b, r)", "SimAMResidualEpilogue"),
    "norm, skip, relu": (f"{SIMAM} {NORM} c = Add(r, b) y = Relu(c)", "SimAMResidualEpilogue"),
    "skip, relu": (f"{SIMAM} c = Add(a, r) y = Relu(c)", "SimAMResidualEpilogue"),
    "skip": (f"{SIMAM} y = Add(r, a)", "SimAMResidualEpilogue"),
    "relu": (f"{SIMAM} y = Relu(a)", "SimAMEpilogue"),
    "x is the skip": (f"{SIMAM} {NORM} c = Add(b, x) y = Relu(c)", "SimAMResidualEpilogue"),
}


@pytest.mark.parametrize("shape", ["2,4,5,7", "n,4,h,w"])
@pytest.mark.parametrize(("body", "becomes"), FUSED.values(), ids=FUSED)
def test_becomes_one_node_that_computes_the_same(body, becomes, shape):
    plain, fused = graph_of(body, shape=shape), graph_of(body, shape=shape)
    for name in "somv":
        fused.graph.initializers[name].const_value = plain.graph.initializers[name].const_value
    lower_portable(plain)
    assert fuse_epilogue(fused) == 1
    assert ops(fused) == [becomes]
    lower_function(fused)
    feeds = {"x": X, "r": draw(2, 4, 5, 7)}
    np.testing.assert_allclose(run(fused, **feeds)[0], run(plain, **feeds)[0], rtol=1e-5, atol=1e-6)
    assert fused.graph.outputs[0].name == "y"


# The body, what else is an output, and how the SimAM's node is called afterwards.
LEFT = {
    "nothing behind": (f"{SIMAM} y = Sigmoid(a)", ""),
    "nothing but the output": ("y = simam.SimAM<e_lambda = 0.1>(x)", ""),
    "SimAM's result is an output": (f"{SIMAM} {NORM} y = Relu(b)", ", float[2,4,5,7] a"),
    "SimAM's result is read twice": (f"{SIMAM} {NORM} y = Mul(a, b)", ""),
    "added to itself": (f"{SIMAM} y = Add(a, a)", ""),
    "statistics computed": (
        f"{SIMAM} s2 = Abs(t) y = BatchNormalization(a, s2, o, m, v)",
        "",
    ),
    "in training": (
        f"{SIMAM} y, m2, v2 = BatchNormalization<training_mode = 1>(a, s, o, m, v)",
        "",
    ),
    "broadcast skip": (f"{SIMAM} y = Add(a, q)", ""),
    "bounds computed": (f"{SIMAM} low = ReduceMax<keepdims = 0>(q) y = Clip(a, low)", ""),
    "SimAM is the bound": (f"{SIMAM} z = ReduceMax<keepdims = 0>(a) y = Clip(r, z)", ""),
    "another domain's Relu": (f"{SIMAM} y = simam.Relu(a)", ""),
}


@pytest.mark.parametrize(("body", "outputs"), LEFT.values(), ids=LEFT)
def test_leaves_alone_what_is_no_epilogue(body, outputs):
    graph = graph_of(body, outputs, more=", float[1,4,1,1] q, float[4] t")
    graph.graph.inputs[2].shape = ir.Shape([1, 4, 1, 1])
    before = ops(graph)
    assert fuse_epilogue(graph) == 0
    assert ops(graph) == before


PARTLY = {
    "norm is an output": (f"{SIMAM} {NORM} y = Relu(b)", ", float[2,4,5,7] b", ["Relu"]),
    "norm is read twice": (f"{SIMAM} {NORM} c = Relu(b) y = Mul(b, c)", "", ["Relu", "Mul"]),
    "skip of another size": (f"{SIMAM} {NORM} y = Add(b, q)", "", ["Add"]),
    "sum is an output": (
        f"{SIMAM} {NORM} c = Add(b, r) y = Relu(c)",
        ", float[2,4,5,7] c",
        ["Relu"],
    ),
    "another activation": (f"{SIMAM} {NORM} y = Sigmoid(b)", "", ["Sigmoid"]),
    "a second norm": (f"{SIMAM} {NORM} y = BatchNormalization(b, s, o, m, v)", "", None),
}


@pytest.mark.parametrize(("body", "outputs", "rest"), PARTLY.values(), ids=PARTLY)
def test_takes_the_links_up_to_the_first_that_must_stay(body, outputs, rest):
    graph = graph_of(body, outputs, more=", float[1,4,1,1] q")
    assert fuse_epilogue(graph) == 1
    assert ops(graph)[1:] == (rest or ["BatchNormalization"])


def test_a_skip_of_unknown_size_is_not_taken():
    graph = graph_of(f"{SIMAM} u = NonZero(x) w = Reshape(r, u) y = Add(a, w)")
    graph.graph.node(2).outputs[0].shape = None
    assert fuse_epilogue(graph) == 0


@pytest.mark.parametrize(
    ("x", "skip"),
    [
        (["n", 4, "h", "w"], ["n", 4, "h", "width"]),
        ([2, 4, None, None], [2, 4, None, None]),
        (["n", 4, 5, 7], ["n", 4, 5, 1]),
        (["n", "c", 5, 7], ["n", "c", 5, 7]),
    ],
    ids=["other symbol", "nothing known", "broadcast", "channels for the scale unknown"],
)
def test_sizes_must_be_known_to_be_the_same(x, skip):
    graph = graph_of(f"{SIMAM} y = Add(a, r)", shape="n,4,h,w")
    for value, shape in zip(graph.graph.inputs, (x, skip), strict=True):
        value.shape = ir.Shape(shape)
    assert fuse_epilogue(graph) == 0


def test_a_fused_node_is_not_fused_again():
    graph = graph_of(f"{SIMAM} {NORM} y = Sigmoid(b)")
    assert fuse_epilogue(graph) == 1
    graph.graph.node(1).op_type = "Relu"
    assert fuse_epilogue(graph) == 0
    assert ops(graph) == ["SimAMEpilogue", "Relu"]


def test_two_branches_that_meet():
    """The first takes the second's batch norm as its skip; the second then ends there."""
    graph = graph_of(
        f"""{SIMAM} {NORM}
        c = simam.SimAM<e_lambda = 0.2>(r) d = BatchNormalization(c, o, s, m, v)
        e = Add(b, d) y = Relu(e)"""
    )
    assert fuse_epilogue(graph) == 2
    assert sorted(ops(graph)) == ["SimAMEpilogue", "SimAMResidualEpilogue"]
    lower_function(graph)
    run(graph, x=X, r=X)


def test_a_reader_inside_a_branch_counts():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[2,4,5,7] x, bool p) => (float[2,4,5,7] y) {
            a = simam.SimAM<e_lambda = 0.1>(x)
            y = If(p) <
                then_branch = t () => (float[2,4,5,7] z) { z = Relu(a) },
                else_branch = e () => (float[2,4,5,7] w) { w = Identity(x) }
            >
        }"""
    )
    assert fuse_epilogue(graph) == 0


def test_half_precision_statistics_become_float32():
    graph = graph_of(f"{SIMAM} y = BatchNormalization(a, s, o, m, v)")
    for name in "somv":
        value = graph.graph.initializers[name]
        value.const_value = ir.tensor(value.const_value.numpy().astype(np.float16))
    fuse_epilogue(graph)
    (node,) = graph.graph
    assert [v.dtype for v in node.inputs[1:]] == [ir.DataType.FLOAT] * 2


def test_the_node_keeps_its_name_and_lambda():
    graph = graph_of(f"[site] {SIMAM} {NORM} y = Relu(b)")
    fuse_epilogue(graph)
    (node,) = graph.graph
    assert node.name == "site"
    assert node.attributes["e_lambda"].as_float() == pytest.approx(0.1)
    assert fuse_epilogue(graph) == 0

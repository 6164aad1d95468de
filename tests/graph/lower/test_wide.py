import numpy as np
import pytest

from simam_deploy.graph.lower import flat
from simam_deploy.graph.lower.wide import SHORTEST_ROW, lower_wide, lower_wide_for_engine
from simam_deploy.graph.prepare import for_engine, with_sites
from simam_deploy.op.contract import simam_reference
from tests.graph.onnx_text import model, ops, run, simam_model

SIZES = [(1, 2), (2, 1), (1, 3), (5, 7), (7, 7), (13, 14), (14, 14), (1, 191), (1, 192), (1, 193),
         (19, 20), (1, 383), (16, 24), (5, 77), (20, 20), (28, 28), (64, 64)]  # fmt: skip


def lowered(size, dtype="float", e_lambda=1e-4):
    graph = simam_model("n,4,{},{}".format(*size), e_lambda=e_lambda, dtype=dtype)
    assert lower_wide(graph) == 1
    return graph


def drawn(size, mean=0.0):
    x = np.random.default_rng(1).standard_normal((2, 4, *size)) + mean
    return x.astype(np.float32)


@pytest.mark.parametrize("mean", [0, 1000])
@pytest.mark.parametrize("size", SIZES)
def test_of_2_to_4096_pixels(size, mean):
    x = drawn(size, mean)
    expected = simam_reference(x, 1e-4)
    np.testing.assert_allclose(run(lowered(size), x=x)[0], expected, rtol=2e-6)


@pytest.mark.parametrize("mean", [0, 1000])
def test_an_engine_counts_the_copies_of_a_plane_of_unknown_size(mean):
    """One graph for all sizes: k is computed of Shape, 193 for two pixels and 1 from 385 on."""
    graph = simam_model("n,4,h,w", e_lambda=1e-4)
    assert lower_wide_for_engine(graph) == 1
    assert "Expand" in ops(graph)
    for size in SIZES:
        x = drawn(size, mean)
        np.testing.assert_allclose(run(graph, x=x)[0], simam_reference(x, 1e-4), rtol=2e-6)


def test_in_a_file_a_plane_of_unknown_size_is_not_copied():
    """ONNX Runtime would sum a large one in one run."""
    graph = simam_model("n,4,h,w")
    assert lower_wide(graph) == 1
    assert "Expand" not in ops(graph)


@pytest.mark.parametrize(
    ("dtype", "ulp", "least"), [("float16", 2**-11, 2**-25), ("bfloat16", 2**-8, 2**-134)]
)
@pytest.mark.parametrize("mean", [0, 1000])
@pytest.mark.parametrize("size", SIZES)
def test_of_half_maps(size, mean, dtype, ulp, least):
    """One rounding: half an ulp, or of what is subnormal `least`. Squares of 1000 overflow."""
    x = drawn(size, mean)
    graph = simam_model("n,4,{},{}".format(*size), dtype=dtype)
    given = run(graph_of_input(graph), x=x)[0]
    assert lower_wide(graph) == 1
    expected = simam_reference(given, 0.1)
    error = np.abs(run(graph, x=x)[0] - expected)
    assert (error <= 1.01 * np.maximum(ulp * np.abs(expected), least)).all()


def graph_of_input(graph):
    """Give what a half graph makes of its input: one rounding."""
    code = graph.graph.node(0).attributes["to"].as_int()
    return model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,c,h,w] x) => (float[n,c,h,w] y) {{
            a = Cast<to = {code}>(x)
            y = Cast<to = 1>(a)
        }}"""
    )


@pytest.mark.parametrize("size", [size for size in SIZES if size != (1, 2)])
def test_a_second_mean_is_what_rounding_left(size, monkeypatch):
    """Without it the bound above is missed at a mean of 1000, so it can be."""
    real = flat.of_rows

    def once(tape, x):
        node = x.producer()
        again = node.op_type == "Sub" and node.inputs[1].producer().op_type == "ReduceMean"
        return tape.op("Mul", real(tape, x), 0.0) if again else real(tape, x)

    monkeypatch.setattr(flat, "of_rows", once)
    x = drawn(size, 1000)
    off = np.abs(run(lowered(size), x=x)[0] / simam_reference(x, 1e-4) - 1).max()
    assert off > 2e-6


@pytest.mark.parametrize("size", SIZES)
def test_a_row_is_as_long_as_it_must_be_and_no_longer(size):
    graph = lowered(size)
    pixels = size[0] * size[1]
    expands = [node for node in graph.graph if node.op_type == "Expand"]
    assert len(expands) == (pixels < SHORTEST_ROW)
    for node in expands:
        _, copies, _ = node.inputs[1].const_value.numpy()
        assert (copies - 1) * pixels < SHORTEST_ROW <= copies * pixels


@pytest.mark.parametrize(("size", "means"), [("112,113", 2), ("h,w", 3), ("7,7", 3)])
def test_an_engine_is_built_of_copies_where_a_row_may_be_short(size, means):
    graph = simam_model(f"n,3,{size}")
    for_engine(graph, "wide", "loops", plugin=False)
    assert ops(graph).count("Expand") == (size != "112,113")
    assert ops(graph).count("ReduceMean") == means


COPIES = """<ir_version: 8, opset_import: ["" : 18]>
g (float[n,3,5,7] x{more}) => (float[n,3,5,7] y)
{{
    half = Constant<value_float = 0.5>()
    quarter = Constant<value_float = 0.25>()
    weight = Constant<value_float = {weight}>()
    bias = Constant<value_float = {bias}>()
    flat = Constant<value_ints = [-1, 35]>()
    one = Constant<value_ints = [-1, 1, 35]>()
    times = Constant<value_ints = [1, 3, 1]>()
    long = Constant<value_ints = [-1, 105]>()
    shape = Constant<value_ints = [-1, 3, 5, 7]>()
    axis = Constant<value_ints = [1]>()
    p = Reshape(x, flat)
    a = Reshape({copied}, one)
    e = Expand(a, times)
    row = Reshape(e, long)
    m = {mean}<keepdims = 1>(row, axis)
    d = Sub(row, m)
    dd = Mul(d, {other})
    v = {variance}<keepdims = 1>(dd, axis)
    c = Sub(p, m)
    cc = Mul(c, c)
    vw = Mul(v, weight)
    den = Add(vw, bias)
    q = Div(cc, den)
    s = Add(q, half)
    gate = Sigmoid(s)
    z = Mul(p, gate)
    y = Reshape(z, shape)
}}"""
RIGHT = {"copied": "p", "mean": "ReduceMean", "variance": "ReduceMean", "other": "d", "more": "",
         "weight": 4 * 35 / 34, "bias": 0.4}  # fmt: skip


def found(**changed):
    _, findings = with_sites(model(COPIES.format(**RIGHT | changed)))
    return [site.e_lambda for site in findings.sites]


def test_a_mean_over_copies_is_recognised():
    assert found() == [0.1]


@pytest.mark.parametrize(
    "changed",
    [
        {"mean": "ReduceSum"},
        {"variance": "ReduceSum"},
        {"copied": "u", "more": ", float[n,3,5,7] u"},
        {"other": "u", "more": ", float[r,105] u"},
        {"other": "row"},
        {"weight": 4.0},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_what_is_no_mean_over_copies_is_not(changed):
    """A sum of copies is k sums; copies of another tensor say nothing of x; and so on."""
    assert found(**changed) == []


def test_simam_of_a_map_that_is_copied_is_not_taken_for_one_of_the_map():
    """The copies are a map of their own there: what is gated is they, and y is larger than x."""
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[2,3,5,7] x) => (float[2,3,15,7] y) {
            one = Constant<value_ints = [6, 1, 35]>()
            times = Constant<value_ints = [1, 3, 1]>()
            long = Constant<value_ints = [6, 105]>()
            map = Constant<value_ints = [2, 3, 15, 7]>()
            a = Reshape(x, one)
            e = Expand(a, times)
            row = Reshape(e, long)
            z = Reshape(row, map)
            y = simam.SimAM<e_lambda = 0.1>(z)
        }"""
    )
    x = drawn((5, 7))[:, :3]
    expected = simam_reference(np.tile(x, (1, 1, 3, 1)), 0.1)
    lower_wide(graph)
    graph, findings = with_sites(graph)
    assert [site.shape for site in findings.sites] == [(2, 3, 15, 7)]
    lower_wide(graph)
    np.testing.assert_allclose(run(graph, x=x)[0], expected, rtol=2e-6)

"""Constants that half cannot hold: their nodes, and what stands before and behind, are float32."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.rounding import rounded
from tests.graph.onnx_text import model, run
from tests.precision.half.graphs import BF16, FP16

EPS = np.array(1e-12, np.float32)
MASK = np.array([0, 0, 1, 1], np.float32)
AXES = np.array([1])


def graph_of(body: str, opset: int = 18, **weights: np.ndarray) -> ir.Model:
    weights = {"eps": EPS, "axes": AXES, "two": np.array(2, np.float32), **weights}
    return typed(
        model(
            f"""<ir_version: 8, opset_import: ["" : {opset}]>
            g (float[2,4] x) => (float[a,b] y) {{ {body} }}""",
            **{name: w for name, w in weights.items() if name in body},
        )
    )


DIVIDED = {
    "normalize": "n = ReduceL2(x, axes) c = Clip(n, eps) s = Shape(x) e = Expand(c, s) "
    "y = Div(x, e)",
    "max": "n = ReduceL2(x, axes) c = Max(n, eps) y = Div(x, c)",
    "add": "n = ReduceL2(x, axes) c = Add(eps, n) y = Div(x, c)",
    "squares": "q = Mul(x, x) n = ReduceSum(q, axes) c = Add(n, eps) r = Sqrt(c) y = Div(x, r)",
    "rms": "q = Mul(x, x) n = ReduceMean(q, axes) c = Add(n, eps) r = Sqrt(c) v = Reciprocal(r) "
    "y = Mul(x, v)",
    "inverse": "n = ReduceMax(x, axes) c = Max(n, eps) one = Div(two, c) y = Mul(x, one)",
    "expanded": "s = Shape(x) e = Expand(eps, s) a = Abs(x) c = Max(a, e) y = Div(x, c)",
    "filled": "s = Shape(x) e = ConstantOfShape<value = float[1] {1e-12}>(s) a = Abs(x) "
    "c = Add(a, e) y = Div(x, c)",
    "node": "e = Constant<value = float {1e-12}>() a = Abs(x) c = Max(a, e) y = Div(x, c)",
    "computed": "e = Mul(eps, two) a = Abs(x) c = Max(a, e) y = Div(x, c)",
    "vector": "a = Abs(x) c = Max(a, epses) y = Div(x, c)",
    "moved": "n = ReduceL2(x, axes) c = Clip(n, eps) k = Squeeze(c, axes) u = Unsqueeze(k, axes) "
    "z = Mul(u, two) y = Div(x, z)",
    "variance": "m = ReduceMean(x, axes) d = Sub(x, m) q = Mul(d, d) v = ReduceMean(q, axes) "
    "c = Add(v, eps) r = Sqrt(c) y = Div(d, r)",
    "where": "a = Abs(x) b = Less(a, eps) c = Where(b, eps, a) y = Div(x, c)",
    "log": "a = Abs(x) c = Add(a, eps) y = Log(c)",
}
EPSES = np.array([0.5, 1e-12, 1e-12, 0.5], np.float32)


@pytest.mark.parametrize("faint", [0.0, 1e-4, 1.0], ids=["black", "faint", "bright"])
@pytest.mark.parametrize("form", DIVIDED)
def test_an_epsilon_that_float16_flushes_still_counts(form, faint):
    """Before, 0 / 0 on black; and of the faint row's squares, 1e-8, float16 leaves 0."""
    x = np.array([[1, -2, 3, -4], [4, 4, 4, 4]], np.float32) * np.float32(faint)
    x = x.astype(np.float16).astype(np.float32)
    graph = graph_of(DIVIDED[form], epses=EPSES)
    (expected,) = run(graph, x=x)
    assert any("which is 0 in float16" in note for note in to_half(graph, FP16).notes)
    (y,) = run(rounded(graph), x=x)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(y, expected, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("form", DIVIDED)
def test_bfloat16_has_the_range_and_keeps_nothing_for_it(form):
    assert to_half(graph_of(DIVIDED[form], 22, epses=EPSES), BF16).notes == ()


MASKED = {
    "where": "b = Cast<to = 9>(mask) w = Where(b, huge, x) r = Reshape(w, s) y = Softmax(r)",
    "sum": "m = Mul(x, zeros) k = Sub(mask, m) p = Mul(k, huge) a = Add(x, p) r = Reshape(a, s) "
    "y = Softmax(r)",
    "difference": "a = Sub(x, grid) y = Add(a, grid)",
    "scaled": "a = Mul(x, huge) b = Neg(a) c = Add(b, x) y = Div(c, huge)",
    "range": "z = Shape(x) g = ConstantOfShape<value = float[1] {1e5}>(z) a = Add(x, g) "
    "y = Sub(a, g)",
}


@pytest.mark.parametrize("form", MASKED)
def test_what_overflows_float16_stays_finite(form):
    weights = {
        "huge": np.array(-1e9, np.float32),
        "mask": np.array([[1, 1, 1, 1], [0, 0, 1, 1]], np.float32),
        "zeros": np.zeros(4, np.float32),
        "grid": np.array([1e5, 7e4, 0, 1], np.float32),
        "s": np.array([2, 4]),
    }
    x = np.array([[1, -2, 3, -4], [4, 3, 2, 1]], np.float32)
    graph = graph_of(MASKED[form], **weights)
    (expected,) = run(graph, x=x)
    assert any("float16 ends at 65504" in note for note in to_half(graph, FP16).notes)
    (y,) = run(rounded(graph), x=x)
    np.testing.assert_allclose(y, expected, atol=1e-2)


def test_the_note_names_node_constant_and_reason():
    (note,) = to_half(graph_of(DIVIDED["normalize"]), FP16).notes
    assert note == "Clip c stays float32: constant eps has 1e-12, which is 0 in float16"


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("a = Relu(x) y = Clip(a, lo, hi)", {"lo": 0.0, "hi": 6.0}),
        ("a = Relu(x) y = Add(a, inf)", {"inf": -np.inf}),
        ("a = Relu(x) y = Mul(a, tiny)", {"tiny": 2.0**-24}),
        ("a = Relu(x) y = Add(a, wide)", {"wide": 65504.0}),
    ],
)
def test_what_half_holds_is_half(body, weights):
    graph = graph_of(body, **{name: np.array(w, np.float32) for name, w in weights.items()})
    assert to_half(graph, FP16).notes == ()
    assert all(n.outputs[0].dtype == FP16 for n in graph.graph if n.op_type != "Cast")


def test_it_ends_at_the_next_layer():
    """One Add is float32; neither the layer before it nor those behind are."""
    graph = graph_of(
        "a = MatMul(x, w) b = Add(a, eps) c = MatMul(b, w) y = Relu(c)",
        w=np.eye(4, dtype=np.float32),
    )
    to_half(graph, FP16)
    kinds = [(n.op_type, n.outputs[0].dtype) for n in graph.graph if n.op_type != "Cast"]
    assert [op for op, dtype in kinds if dtype == ir.DataType.FLOAT] == ["Add"]


@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["fp16", "bf16"])
def test_weights_are_computed_in_float32_and_rounded_once(dtype):
    """A scaled weight: half would round the weight, the scale and their product."""
    rows, scale = np.arange(1, 17, dtype=np.float32).reshape(4, 4) / 3, np.float32(0.7)
    graph = graph_of(
        "u = Mul(w, scale) v = Transpose(u) y = MatMul(x, v)", 22, w=rows, scale=np.array(scale)
    )
    to_half(graph, dtype)
    given = {n.op_type: n.inputs[0].dtype for n in graph.graph if n.op_type != "Cast"}
    assert given == {"Mul": ir.DataType.FLOAT, "Transpose": dtype, "MatMul": dtype}
    (y,) = run(rounded(graph), x=np.eye(4, dtype=np.float32)[:2])
    once = (rows * scale).astype(dtype.numpy()).astype(np.float32)
    np.testing.assert_array_equal(y, once.T[:2])

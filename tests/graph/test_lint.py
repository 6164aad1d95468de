import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.hazards import fp16_std, hazards_of
from simam_deploy.graph.lint import lint
from simam_deploy.graph.passes.epilogue_behind import epilogue_behind
from simam_deploy.graph.recognise import recognise
from tests.graph.onnx_text import model, simam_model

SHAPE = "1,2,5,7"
STORED = "int64[2] axes = {2, 3}, float lam = {0.1}, float four = {4}, float half = {0.5}"
STATIC_N = "n = Constant<value = float {34}>()"
CHAIN_N = """
    shape = Shape(x) h = Gather(shape, i2) w = Gather(shape, i3) hw = Mul(h, w) m = Sub(hw, i1)
    n = Cast<to = 1>(m)
"""
INDICES = "int64 i1 = {1}, int64 i2 = {2}, int64 i3 = {3}"
SIMAM = """
    mean = ReduceMean<axes = [2, 3]>(x) d = Sub(x, mean) d2 = Mul(d, d) s = ReduceSum(d2, axes)
    v = Div(s, n) vl = Add(v, lam) q = Mul(vl, four) e = Div(d2, q) g = Add(e, half)
    gate = Sigmoid(g) a = Mul(x, gate)
"""


def graph(body: str, shape: str = SHAPE, stored: str = STORED, out: str = "y", **weights):
    return model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[{shape}] x) => (float[{shape}] {out}) <{stored}, {INDICES}> {{ {body} }}""",
        **weights,
    )


def rules(found: ir.Model) -> dict[str, tuple[str, ...]]:
    """The places by rule; the constants of this file's head that nothing reads are left out."""
    found_rules = {f.rule: f.places for f in lint(found, recognise(found))}
    unused = set(found_rules.pop("unused-initializer", ())) - {
        "axes", "lam", "four", "half", "i1", "i2", "i3",
    }  # fmt: skip
    return found_rules | ({"unused-initializer": tuple(unused)} if unused else {})


def test_a_clean_graph_has_no_findings():
    assert rules(graph(f"{STATIC_N} {SIMAM} y = Relu(a)")) == {}


def test_n_of_a_shape_chain_is_unfolded_where_the_sizes_are_fixed():
    found = rules(graph(f"{CHAIN_N} {SIMAM} y = Relu(a)"))
    assert found == {"unfolded-n": ("a",), "shape-chain": ("shape",)}
    assert set(rules(graph(f"{CHAIN_N} {SIMAM} y = Relu(a)", "n,2,5,7"))) == set(found)


def test_n_of_a_shape_chain_is_right_where_they_are_not():
    assert set(rules(graph(f"{CHAIN_N} {SIMAM} y = Relu(a)", "n,2,h,w"))) == {"shape-chain"}


def test_a_shape_that_only_reshapes_is_not_n():
    flat = """
        shape = Shape(x) f = Reshape(x, target) mean = ReduceMean<axes = [2]>(f) d = Sub(f, mean)
        d2 = Mul(d, d) s = ReduceSum(d2, two) v = Div(s, n) vl = Add(v, lam) q = Mul(vl, four)
        e = Div(d2, q) g = Add(e, half) gate = Sigmoid(g) b = Mul(f, gate)
        sized = Cast<to = 7>(shape) wide = Slice(sized, zero, i4) a = Reshape(b, wide)
    """
    stored = f"{STORED}, int64[3] target = {{1, 2, 35}}, int64[1] two = {{2}}"
    stored += ", int64[1] zero = {0}, int64[1] i4 = {4}"
    found = graph(f"{STATIC_N} {flat} y = Relu(a)", stored=stored)
    assert [site.form for site in recognise(found).sites] == ["flattened"]
    assert rules(found) == {"shape-chain": ("shape",)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Pow(x, p)", {"pow": ("y",)}),
        ("y = Pow(x, three)", {}),
        ("c = Cast<to = 11>(x) y = Cast<to = 1>(c)", {"double-cast": ("y",)}),
        ("c = Cast<to = 11>(x) d = Neg(c) y = Cast<to = 1>(d)", {}),
        ("[same] c = Identity(x) [drop] y = Dropout(c)", {"idle": ("same", "drop")}),
        ("y = Dropout(x, half, yes)", {}),
        ("y = Dropout(x, half, no)", {"idle": ("y",)}),
        ("y = Relu(x)", {}),
    ],
)
def test_each_rule_of_one_node(body, expected):
    stored = f"{STORED}, float p = {{2}}, float three = {{3}}, bool yes = {{1}}, bool no = {{0}}"
    found = rules(graph(body, stored=stored))
    found.pop("unused-initializer", None)
    assert found == expected


def test_an_unused_initializer():
    assert rules(graph("y = Relu(x)", weight=np.zeros(3)))["unused-initializer"] == ("weight",)


@pytest.mark.parametrize(("between", "found"), [("", ("bn",)), ("r = Relu(c)", None)])
def test_bn_that_folds_and_bn_that_does_not(between, found):
    bn = dict.fromkeys("bomv", np.ones(2, np.float32))
    source = "r" if between else "c"
    body = f"c = Conv(x, k) {between} [bn] y = BatchNormalization({source}, b, o, m, v)"
    weights = {**bn, "k": np.ones((2, 2, 1, 1), np.float32)}
    assert rules(graph(body, **weights)).get("foldable-bn") == found


def test_a_node_without_a_body():
    assert rules(simam_model(SHAPE))["no-function-body"] == ("site",)
    function = """<domain: "simam", opset_import: ["" : 18]> SimAM<e_lambda> (x) => (y)
        { y = Identity(x) }"""
    with_body = ir.from_onnx_text(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[{SHAPE}] x) => (float[{SHAPE}] y) {{ y = simam.SimAM<e_lambda = 0.1>(x) }}
        {function}"""
    )
    assert "no-function-body" not in rules(with_body)


# ---------------------------------------------------------------- epilogue

BN = "t = BatchNormalization(a, k1, k2, k3, k4)"
CHANNEL = """float[2,1,1] s3 = {2, 3}, float[1,2,1,1] o4 = {2, 3}, float zero = {0},
    float[1,1,5,1] wide = {1, 2, 3, 4, 5}, float six = {6}"""


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ("y = Relu(a)", ("ReLU",)),
        (f"{BN} y = Relu(t)", ("BN", "ReLU")),
        (f"{BN} r = Add(x, t) y = Relu(r)", ("BN", "residual", "ReLU")),
        ("t = Mul(s3, a) r = Add(t, o4) y = Clip(r, zero, six)", ("scale", "bias", "ReLU6")),
        ("t = Clip(a, zero, four) y = Neg(t)", ()),
        ("t = Relu(a) y = Add(t, x)", ("ReLU",)),
        ("t = Relu(a) y = Add(t, a)", ()),
        ("y = Add(a, a)", ()),
        ("y = Mul(a, x)", ()),
        ("t = Mul(a, wide) y = Relu(t)", ()),
        ("t = Mul(a, four) y = Relu(t)", ()),
        ("y = Neg(a)", ()),
    ],
)
def test_epilogue(behind, expected):
    bn = dict.fromkeys(("k1", "k2", "k3", "k4"), np.ones(2, np.float32))
    found = graph(f"{STATIC_N} {SIMAM} {behind}", stored=f"{STORED}, {CHANNEL}", **bn)
    (site,) = recognise(found).sites
    assert epilogue_behind(site.y) == expected


# ---------------------------------------------------------------- hazards


@pytest.mark.parametrize(
    ("area", "std"), [(112 * 112, 2.3), (56 * 56, 4.6), (28 * 28, 9.1), (7 * 7, 37)]
)
def test_the_std_at_which_fp16_collapses(area, std):
    """The figures were measured."""
    limit = fp16_std(area)
    assert limit == pytest.approx(std, rel=0.02)
    side = int(area**0.5)
    plane = np.where(np.indices((side, side)).sum(0) % 2, 1.0, -1.0)
    for factor, overflows in ((0.98, False), (1.05, True)):
        d2 = np.float16((plane * limit * factor) ** 2)
        with np.errstate(over="ignore"):
            assert np.isinf(np.float16(d2.astype(np.float64).sum())) == overflows


def test_hazards_by_how_it_is_written():
    half = simam_model(SHAPE)
    (site,) = recognise(half).sites
    assert hazards_of(site) == ()
    (pixel,) = recognise(simam_model("1,2,1,1")).sites
    assert hazards_of(pixel) == ("H*W = 1: divides by zero",)
    (large,) = recognise(simam_model("1,2,200,334")).sites
    assert hazards_of(large) == ("n = 66799 exceeds fp16's 65504",)
    (edge,) = recognise(simam_model("1,2,1,65505")).sites
    assert hazards_of(edge) == (), "n = 65504 is fp16's largest number"


@pytest.mark.parametrize(
    ("prefix", "source", "hazard"),
    [
        ("", "x", "fp16: collapses where a plane's std > 43.9"),
        ("f = Cast<to = 1>(x)", "f", None),
    ],
)
def test_half_precision_collapses_but_an_island_does_not(prefix, source, hazard):
    dtype = np.float16 if source == "x" else np.float32
    body = SIMAM.replace("(x", f"({source}").replace("a = ", "g1 = ")
    back = "a = Identity(g1)" if source == "x" else "a = Cast<to = 10>(g1)"
    numbers = {"n": 34, "lam": 0.1, "four": 4, "half": 0.5}
    found = model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float16[{SHAPE}] x) => (float16[{SHAPE}] y) <int64[2] axes = {{2, 3}}>
        {{ {prefix} {body} {back} y = Relu(a) }}""",
        **{name: np.array(number, dtype) for name, number in numbers.items()},
    )
    (site,) = recognise(found).sites
    assert hazards_of(site) == (() if hazard is None else (hazard,))

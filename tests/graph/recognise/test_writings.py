"""Rules that no exporter's file shows by itself: what bounds, moments and gates leave as it is."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest

from simam_deploy.graph.recognise import recognise
from tests.graph.recognise.formula import formula, in_dtype
from tests.graph.recognise.test_formula import off_the_reference

MORE = {
    "zero": "float zero = {0}",
    "three": "float three = {3}",
    "hw": "float hw = {3136}",
    "two_lam": "float two_lam = {0.2}",
    "three_lam": "float three_lam = {0.3}",
    "minus_half": "float minus_half = {-0.5}",
    "minus_five": "float minus_five = {-5}",
    "minus_tiny": "float minus_tiny = {-0.001}",
    "lost": "float lost = {2e-9}",
    "kept": "float kept = {1e-8}",
    "largest": "float largest = {3.4028235e38}",
    "exponent": "float exponent = {-2.3025851}",
    "raw": "float raw = {-2.2521685}",
    "row": "float[56] row = {" + ", ".join(["0.5"] * 56) + "}",
    "plane": "float[56, 56] plane = {" + ", ".join([repr(0.5 * (3135 / 3136) ** 0.5)] * 3136) + "}",
    "twenty": "float twenty = {20}",
    "first": "int64[1] first = {0}",
    "last": "int64[1] last = {3}",
    "i": "int64 i = {0}",
    "shape": "int64[4] shape = {2, 4, 1, 1}",
}
ENERGY = "e = Add (quotient, half)"
MEAN_SQUARES = "x2 = Mul (x, x) m2 = ReduceMean <axes = [2, 3]> (x2) mm = Mul (mean, mean)"
BLEND = "b = Mul (v, two) c = Add (d2, b) whole = Add (c, two_lam)"

SAME = {
    "bound of lambda on v + lambda": {"sum": "w = Add (v, lam) sum = Clip (w, lam)"},
    "bound that float32 loses in lambda": {"sum": "w = Clip (v, lost) sum = Add (w, lam)"},
    "bound above all numbers": {"v": "w = Div (s, n) v = Clip (w, , largest)"},
    "bound of its own shape": {"v": "w = Div (s, n) z = Expand (zero, shape) v = Max (w, z)"},
    "no bounds": {"v": "w = Div (s, n) v = Clip (w)"},
    "absolute variance": {"v": "w = Div (s, n) v = Abs (w)"},
    "deviation that is no less than 0": {
        "v": "w = Div (s, n) r = Sqrt (w) c = Relu (r) v = Mul (c, c)"
    },
    "energy that is no less than 0.5": {"energy": f"{ENERGY} energy = Max (half, e)"},
    "exp(lambda)": {"sum": "l = Exp (exponent) sum = Add (v, l)"},
    "softplus(lambda)": {"sum": "l = Softplus (raw) sum = Add (v, l)"},
    "finite or zero": {
        "quotient": "q = Div (d2, denominator) a = IsNaN (q) b = IsInf (q) c = And (a, b) "
        "p = Where (c, zero, q) quotient = Where (b, zero, p)"
    },
    "finite by Not and Or": {
        "quotient": "q = Div (d2, denominator) a = IsNaN (q) b = IsInf (q) c = Or (a, b) "
        "f = Not (c) quotient = Where (f, q, zero)"
    },
    "finite by And of two": {
        "quotient": "q = Div (d2, denominator) a = IsNaN (q) b = IsInf (q) c = Not (a) "
        "e = Not (b) f = And (c, e) quotient = Where (f, q, zero)"
    },
    "window as large as the map": {
        "mean": "mean = AveragePool <kernel_shape = [56, 56]> (x)",
    },
    "layer normalisation of planes": {
        "opset": 17,
        "mean": "z = LayerNormalization <axis = 2, epsilon = 0.09996811> (x, plane)",
        **dict.fromkeys(("d", "d2", "s", "v", "sum", "denominator"), ""),
        "quotient": "quotient = Mul (z, z)",
    },
    "E[x^2] - E[x]^2": {"v": f"{MEAN_SQUARES} b = Sub (m2, mm) t = Mul (b, hw) v = Div (t, n)"},
    "-E[x]^2 + E[x^2]": {
        "v": f"{MEAN_SQUARES} a = Neg (mm) b = Add (a, m2) t = Mul (b, hw) v = Div (t, n)"
    },
    "sum of squares less HW mean^2": {
        "v": "q = ReduceSumSquare <axes = [2, 3]> (x) mm = Pow (mean, two) p = Mul (mm, hw) "
        "b = Sub (q, p) v = Div (b, n)"
    },
    "1 / e*": {
        "energy": f"{BLEND} e = Div (denominator, whole) energy = Div (one, e)",
    },
    "1 / (1 / (q + 0.5))": {
        "energy": f"{ENERGY} r = Reciprocal (e) energy = Reciprocal (r)",
    },
    "sum of three, the variance last": {
        "energy": "b = Mul (v, two) c = Add (d2, two_lam) w = Add (c, b) "
        "energy = Div (w, denominator)",
    },
    "v + v": {
        "v": "h = Div (s, n) w = Mul (h, half) v = Add (w, w)",
    },
    "exp(e) / (exp(e) + 1)": {"gate": "p = Exp (energy) r = Add (p, one) gate = Div (p, r)"},
    "1 - 1 / (1 + exp(e))": {
        "gate": "p = Exp (energy) r = Add (one, p) g = Div (one, r) gate = Sub (one, g)"
    },
    "half of tanh and a half": {
        "gate": "e = Mul (energy, half) t = Tanh (e) h = Mul (t, half) gate = Add (half, h)"
    },
    "x / 2 * (1 + tanh(e / 2))": {
        "gate": "e = Mul (energy, half) t = Tanh (e) r = Add (t, one)",
        "y": "h = Mul (half, x) y = Mul (r, h)",
    },
    "x * (1 + tanh(e / 2)) / 2": {
        "gate": "e = Mul (energy, half) t = Tanh (e) r = Add (t, one)",
        "y": "h = Mul (x, r) y = Mul (h, half)",
    },
    "(1 + tanh(e / 2)) * x / 2": {
        "gate": "e = Mul (energy, half) t = Tanh (e) r = Add (one, t)",
        "y": "h = Mul (r, x) y = Div (h, two)",
    },
    "x exp(e) / (1 + exp(e))": {
        "gate": "p = Exp (energy) r = Add (p, one)", "y": "h = Mul (x, p) y = Div (h, r)",
    },
    "x / (1 + exp(e)) * exp(e)": {
        "gate": "p = Exp (energy) r = Add (p, one)", "y": "h = Div (x, r) y = Mul (p, h)",
    },
    "exp(-softplus(-e))": {
        "gate": "a = Neg (energy) p = Softplus (a) t = Neg (p) gate = Exp (t)"
    },
    "exp(-softplus(-e)), linear above 20": {
        "gate": "a = Neg (energy) p = Softplus (a) b = Greater (a, twenty) c = Where (b, a, p) "
        "t = Neg (c) gate = Exp (t)"
    },
    "energy of which the sigmoid is 1": {"energy": f"{ENERGY} energy = Min (e, twenty)"},
    "quotient of which the sigmoid is 1": {
        "quotient": "q = Div (d2, denominator) quotient = Clip (q, zero, twenty)"
    },
    "clamped, and turned round twice": {
        "energy": f"{ENERGY} c = Clip (e, zero, twenty) energy = Neg (c)",
        "gate": "p = Exp (energy) r = Add (p, one) gate = Div (one, r)",
    },
    "sum of squares by Einsum": {
        "s": 'q = Einsum <equation = "nchw,nchw->nc"> (d, d) s = Reshape (q, shape)'
    },
    "sum of squares by Einsum of what is left": {
        "s": 'q = Einsum <equation = "... h w, ... h w -> ..."> (d, d) s = Reshape (q, shape)'
    },
    "x^2 - 2 x m + m^2": {
        "d": "x2 = Mul (x, x) tx = Mul (two, x) xm = Mul (tx, mean) mm = Mul (mean, mean)",
        "d2": "p = Sub (x2, xm) d2 = Add (p, mm)",
    },
    "m^2 + x^2 - 2 (m x)": {
        "d": "x2 = Pow (x, two) xm = Mul (mean, x) txm = Mul (xm, two) mm = Pow (mean, two)",
        "d2": "p = Add (mm, x2) d2 = Sub (p, txm)",
    },
    "x^2 + (m^2 - x (2 m))": {
        "d": "x2 = Mul (x, x) dm = Mul (two, mean) xm = Mul (x, dm) "
        "mm = Mul (mean, mean)",
        "d2": "p = Sub (mm, xm) d2 = Add (x2, p)",
    },
    "|d|": {"d2": "a = Abs (d) d2 = Mul (a, a)"},
    "root of the sum of squares": {
        "s": "r = ReduceL2 <axes = [2, 3]> (d) s = Pow (r, two)",
    },
}  # fmt: skip

OTHER = {
    "zero where finite": (
        {"quotient": "q = Div (d2, denominator) a = IsNaN (q) f = Not (a) "
         "quotient = Where (f, zero, q)"},
        "Where of the energy",
    ),
    "finite or anything": (
        {"quotient": "q = Div (d2, denominator) a = IsNaN (q) b = Greater (x, zero) c = Or (a, b) "
         "quotient = Where (c, zero, q)"},
        "Where of the energy",
    ),
    "layer normalisation of rows": (
        {"mean": "z = LayerNormalization <axis = 3, epsilon = 0.09996811> (x, row)",
         "opset": 17,
         **dict.fromkeys(("d", "d2", "s", "v", "sum", "denominator"), ""),
         "quotient": "quotient = Mul (z, z)"},
        "reduces only W",
    ),
    "bound that float32 keeps beside lambda": (
        {"sum": "w = Clip (v, kept) sum = Add (w, lam)"}, "clamped at 1e-08, which binds",
    ),
    "upper bound, turned round": (
        {"v": "w = Div (s, n) a = Neg (w) b = Clip (a, minus_tiny) v = Neg (b)"}, "that binds",
    ),
    "lower bound above d^2": ({"d2": "e = Mul (d, d) d2 = Clip (e, lam)"}, ""),
    "energy below 1": (
        {"energy": f"{ENERGY} energy = Min (e, one)"}, "goes through min before sigmoid",
    ),
    "energy that is clamped before it is halved": (
        {"denominator": "denominator = Mul (sum, two)",
         "quotient": "p = Div (d2, denominator) q = Min (p, twenty) quotient = Mul (q, half)"},
        "the energy is clamped at 10.5, which binds",
    ),
    "energy that is clamped and raised": (
        {"quotient": "p = Div (d2, denominator) q = Min (p, twenty) quotient = Mul (q, q)"},
        "of the energy",
    ),
    "two clamps, one of which binds": (
        {"energy": f"{ENERGY} c = Min (e, twenty) energy = Clip (c, zero, three)"},
        "goes through clip before sigmoid",
    ),
    "e in the place of what is above 20": (
        {"quotient": "q = Div (d2, denominator) b = Greater (q, twenty) "
         "quotient = Where (b, d2, q)"},
        "Where of the energy",
    ),
    "d^2 in the place of what is never or not finite": (
        {"quotient": "q = Div (d2, denominator) a = Neg (q) b = Greater (a, twenty) "
         "k = IsNaN (q) c = Or (b, k) quotient = Where (c, d2, q)"},
        "Where of the energy",
    ),
    "exp(-softplus(e))": (
        {"gate": "p = Softplus (energy) t = Neg (p) gate = Exp (t)"}, "-0.5 instead of",
    ),
    "exp(softplus(-e))": (
        {"gate": "a = Neg (energy) p = Softplus (a) gate = Exp (p)"},
        "goes through softplus before exp",
    ),
    "exp(-2 softplus(-e))": (
        {"gate": "a = Neg (energy) p = Softplus (a) q = Mul (p, two) t = Neg (q) gate = Exp (t)"},
        "softplus instead of sigmoid",
    ),
    "sum of rows by Einsum": (
        {"s": 'q = Einsum <equation = "nchw,nchw->nch"> (d, d) s = Unsqueeze (q, last)'},
        "the sum reduces only W",
    ),
    "sum of squares by Einsum, planes turned": (
        {"s": 'q = Einsum <equation = "nchw,ncwh->nc"> (d, d) s = Reshape (q, shape)'},
        "d^2 is not divided by a variance of x",
    ),
    "sum of squares of x by Einsum": (
        {"s": 'q = Einsum <equation = "nchw,nchw->nc"> (x, x) s = Reshape (q, shape)'},
        "d^2 is not divided by a variance of x",
    ),
    "softmax of the energy and 0": (
        {"gate": "z = Mul (energy, zero) a = Unsqueeze (energy, first) b = Unsqueeze (z, first) "
         "c = Concat <axis = 0> (a, b) p = Softmax <axis = 0> (c) gate = Gather <axis = 0> (p, i)"},
        "Concat of the energy before softmax",
    ),
    "x^2 - 3 x m + m^2": (
        {"d": "x2 = Mul (x, x) tx = Mul (three, x) xm = Mul (tx, mean) mm = Mul (mean, mean)",
         "d2": "p = Sub (x2, xm) d2 = Add (p, mm)"}, "",
    ),
    "x^2 - 2 x m - m^2": (
        {"d": "x2 = Mul (x, x) tx = Mul (two, x) xm = Mul (tx, mean) mm = Mul (mean, mean)",
         "d2": "p = Sub (x2, xm) d2 = Sub (p, mm)"}, "",
    ),
    "x^2 - 2 x m + m^2 of the mean of rows": (
        {"d": "row_mean = ReduceMean <axes = [3]> (x) x2 = Mul (x, x) xm = Mul (x, row_mean) "
         "txm = Mul (xm, two) mm = Mul (mean, mean)",
         "d2": "p = Sub (x2, txm) d2 = Add (p, mm)"}, "",
    ),
    "x^2 - 2 z m + m^2 of another map": (
        {"d": "x2 = Mul (x, x) z = Relu (x) xm = Mul (z, mean) txm = Mul (xm, two) "
         "mm = Mul (mean, mean)",
         "d2": "p = Sub (x2, txm) d2 = Add (p, mm)"}, "",
    ),
    "upper bound by Min": ({"v": "w = Div (s, n) v = Min (w, lam)"}, "that binds"),
    "2 v + 2 lambda over 4 v": (
        {"energy": f"{BLEND} w = Mul (v, four) energy = Div (whole, w)"},
        "not that of the denominator",
    ),
    "2 v over 4 (v + lambda)": (
        {"energy": "b = Mul (v, two) c = Add (d2, b) energy = Div (c, denominator)"},
        "not that of the denominator",
    ),
    "three moments": (
        {"v": f"{MEAN_SQUARES} t = Mul (mm, three) b = Sub (m2, t) c = Mul (b, hw) v = Div (c, n)"},
        "E[x^2] and E[x]^2",
    ),
    "E[x^2] + E[x]^2": (
        {"v": f"{MEAN_SQUARES} b = Add (m2, mm) c = Mul (b, hw) v = Div (c, n)"},
        "E[x^2] and E[x]^2",
    ),
    "E[x^2] - E[x]^2 of n": (
        {"v": f"{MEAN_SQUARES} v = Sub (m2, mm)"}, "biased variance (n = H*W, not H*W - 1)",
    ),
    "1 / (1 + 2 exp(-e))": (
        {"gate": "a = Neg (energy) p = Exp (a) t = Mul (p, two) r = Add (t, one) "
         "gate = Reciprocal (r)"},
        "exp instead of sigmoid",
    ),
    "exp(2 e) / (1 + exp(e))": (
        {
            "gate": "q = Exp (energy) a = Mul (energy, two) p = Exp (a) r = Add (q, one) "
            "gate = Div (p, r)"
        },
        "exp instead of sigmoid",
    ),
    "exp(e) / (1 + exp(-e))": (
        {
            "gate": "p = Exp (energy) a = Neg (energy) q = Exp (a) r = Add (q, one) "
            "gate = Div (p, r)"
        },
        "exp instead of sigmoid",
    ),
    "x / 2 * (1 + tanh(e))": (
        {
            "gate": "t = Tanh (energy) r = Add (t, one)",
            "y": "h = Mul (x, half) y = Mul (h, r)",
        },
        "+1.0 instead of",
    ),
    "x * (1 + tanh(e / 2))": (
        {
            "gate": "e = Mul (energy, half) t = Tanh (e) r = Add (t, one)",
            "y": "h = Mul (x, one) y = Mul (h, r)",
        },
        "tanh instead of sigmoid",
    ),
    "x exp(-e) / (1 + exp(e))": (
        {
            "gate": "a = Neg (energy) q = Exp (a) p = Exp (energy) r = Add (p, one)",
            "y": "h = Mul (x, q) y = Div (h, r)",
        },
        "exp instead of sigmoid",
    ),
    "x exp(e) (1 + exp(e))": (
        {"gate": "p = Exp (energy) r = Add (p, one)", "y": "h = Mul (x, p) y = Mul (h, r)"},
        "exp instead of sigmoid",
    ),
    "exp(e) / (x (1 + exp(e)))": (
        {
            "gate": "p = Exp (energy) r = Add (p, one)", "y": "h = Div (p, x) y = Div (h, r)",
        },
        "-0.5 instead of",
    ),
    "0.5 / (x (1 + tanh(e / 2)))": (
        {
            "gate": "e = Mul (energy, half) t = Tanh (e) r = Add (t, one)",
            "y": "h = Mul (x, r) y = Div (half, h)",
        },
        "tanh instead of sigmoid",
    ),
    "x / 0 * (1 + tanh(e / 2))": (
        {
            "gate": "e = Mul (energy, half) t = Tanh (e) r = Add (t, one)",
            "y": "h = Div (x, zero) y = Mul (h, r)",
        },
        "tanh instead of sigmoid",
    ),
    "tanh(e / 2)": (
        {"gate": "e = Mul (energy, half) gate = Tanh (e)"}, "tanh instead of sigmoid",
    ),
    "tanh and a half": (
        {"gate": "t = Tanh (energy) h = Mul (t, half) gate = Add (half, h)"}, "+1.0 instead of",
    ),
    "sum of |d|": (
        {"s": "r = ReduceL1 <axes = [2, 3]> (d) s = Pow (r, two)"},
        "d^2 is not divided by a variance of x",
    ),
    "x less one over its mean": (
        {"mean": "m = ReduceMean <axes = [2, 3]> (x) mean = Div (one, m)"}, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("steps", SAME.values(), ids=SAME)
def test_what_changes_no_number_is_simam(steps: dict[str, Any]) -> None:
    model = formula(constants=MORE, **steps)
    assert off_the_reference(model) < 3e-6
    findings = recognise(model)
    assert findings.near_misses == ()
    (site,) = findings.sites
    assert (site.x.name, site.y.name) == ("x", "y")
    assert site.e_lambda == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize(("steps", "reason"), OTHER.values(), ids=OTHER)
def test_what_changes_a_number_is_none(steps: dict[str, Any], reason: str) -> None:
    """A reason is named where the gate is still one of x."""
    model = formula(constants=MORE, **steps)
    findings = recognise(model)
    assert findings.sites == ()
    reasons = [miss.reason for miss in findings.near_misses]
    assert any(reason in said for said in reasons) if reason else not reasons


def test_d2_multiplied_out_is_told_to_cancel() -> None:
    (site,) = recognise(formula(constants=MORE, **SAME["x^2 - 2 x m + m^2"])).sites
    assert site.form == "moments"
    only_in_sum = {
        "v": "x2 = Mul (x, x) xm = Mul (x, mean) txm = Mul (xm, two) mm = Mul (mean, mean) "
        "p = Sub (x2, txm) q = Add (p, mm) r = ReduceSum (q, axes) v = Div (r, n)",
    }
    (site,) = recognise(formula(constants=MORE, **only_in_sum)).sites
    assert site.form == "moments"


def test_a_map_times_its_mean_may_be_the_map_of_a_simam_behind_it() -> None:
    model = formula(
        mean="m = ReduceMean <axes = [2, 3]> (x) z = Mul (x, m)",
        d="o = ReduceMean <axes = [2, 3]> (z) d = Sub (z, o)",
        y="y = Mul (z, gate)",
    )
    (site,) = recognise(model).sites
    assert site.x.name == "z"


def test_an_energy_is_clamped_without_effect_in_float32_alone() -> None:
    steps = SAME["energy of which the sigmoid is 1"]
    findings = recognise(in_dtype(formula(constants=MORE, **steps), ir.DataType.DOUBLE))
    assert findings.sites == ()
    assert "goes through min before sigmoid" in findings.near_misses[0].reason


def test_a_number_in_the_place_of_0_over_0_is_not_simam_of_lambda_0() -> None:
    guarded = {"quotient": "q = Div (d2, denominator) m = IsNaN (q) quotient = Where (m, zero, q)"}
    (site,) = recognise(formula(constants=MORE, **guarded)).sites
    assert site.e_lambda == 0.1
    findings = recognise(formula(constants={**MORE, "lam": "float lam = {0}"}, **guarded))
    assert findings.sites == ()
    assert "Where of the energy" in findings.near_misses[0].reason


BEFORE = {
    "squared": "x = Mul (image, image)",
    "normalised by instance": "x = InstanceNormalization (image, ones, zeros)",
    "normalised by its mean square": "q = Mul (image, image) m = ReduceMean <axes = [2, 3]> (q) "
    "e = Add (m, lam) r = Sqrt (e) x = Div (image, r)",
    "gated by its variance": "im = GlobalAveragePool (image) id = Sub (image, im) "
    "iq = Mul (id, id) iv = GlobalAveragePool (iq) ie = Erf (iv) ig = Sigmoid (ie) "
    "x = Mul (image, ig)",
    "gated by what is nearly SimAM": "im = GlobalAveragePool (image) id = Sub (image, im) "
    "iq = Mul (id, id) iv = ReduceMax <axes = [2, 3]> (iq) ie = Div (iq, iv) ig = Sigmoid (ie) "
    "x = Mul (image, ig)",
    "nearly an energy of SimAM": "im = GlobalAveragePool (image) id = Sub (image, im) "
    "iq = Mul (id, id) iv = ReduceMax <axes = [2, 3]> (iq) x = Div (iq, iv)",
    "scaled by a square of another": "small = MaxPool <kernel_shape = [2, 2]> (image) "
    "im = GlobalAveragePool (small) iq = Mul (im, im) ik = Add (iq, lam) x = Mul (image, ik)",
}
VECTORS = {
    "ones": "float[4] ones = {1, 1, 1, 1}",
    "zeros": "float[4] zeros = {0, 0, 0, 0}",
}


@pytest.mark.parametrize("made", BEFORE.values(), ids=BEFORE)
def test_a_map_that_is_made_with_the_same_operators_is_a_map(made: str) -> None:
    model = formula(
        source="float[2, 4, 56, 56] image",
        constants={**MORE, **VECTORS},
        mean=f"{made} mean = ReduceMean <axes = [2, 3]> (x)",
    )
    (site,) = recognise(model).sites
    assert (site.x.name, site.y.name, site.e_lambda) == ("x", "y", 0.1)


TOKENS = {
    "mean": "mean = ReduceMean <axes = [1]> (x)",
    "s": "s = ReduceSum (d2, axis)",
}


@pytest.mark.parametrize(
    ("made", "layout"),
    [
        ("x = Identity (image)", (0, 2, 1)),
        ("x = Transpose <perm = [0, 2, 1]> (image)", (0, 2, 1)),
        ("x = Conv (image, kernel)", None),
    ],
    ids=["unknown", "turned", "a convolution's"],
)
def test_tokens_are_reduced_over_all_but_their_channels(
    made: str, layout: tuple[int, ...] | None
) -> None:
    """56 lines of 56, so that no size tells them apart."""
    kernel = "float[56, 56, 1] kernel = {" + ", ".join(["0.1"] * 56 * 56) + "}"
    constants = {"axis": "int64[1] axis = {1}", "n": "float n = {55}", "kernel": kernel}
    steps = {**TOKENS, "mean": f"{made} {TOKENS['mean']}"}
    shape = "float[2, 56, 56]"
    model = formula(source=f"{shape} image", results=f"{shape} y", constants=constants, **steps)
    findings = recognise(model)
    assert [site.layout for site in findings.sites] == ([layout] if layout else [])
    assert [miss.reason for miss in findings.near_misses] == (
        [] if layout else ["reduces C instead of L"]
    )


@pytest.mark.parametrize(("factor", "sites"), [("one", 1), ("two", 0)])
def test_a_gate_of_tokens_scales_the_map_they_were_made_of(factor: str, sites: int) -> None:
    """Twice the map has another lambda."""
    model = formula(
        constants={
            "lines": "int64[3] lines = {2, 4, 3136}",
            "whole": "int64[4] whole = {2, 4, 56, 56}",
            "axis": "int64[1] axis = {1}",
        },
        mean=f"f = Reshape (x, lines) g = Mul (f, {factor}) t = Transpose <perm = [0, 2, 1]> (g) "
        "mean = ReduceMean <axes = [1]> (t)",
        d="d = Sub (t, mean)",
        s="s = ReduceSum (d2, axis)",
        gate="h = Sigmoid (energy) i = Transpose <perm = [0, 2, 1]> (h) gate = Reshape (i, whole)",
    )
    findings = recognise(model)
    assert [site.x.name for site in findings.sites if not site.gate_only] == ["x"] * sites


def test_a_plane_of_one_column_or_a_map_of_one_channel() -> None:
    """Over a dimension of 1 a sum is what it was."""
    for shape, axes in (("1, 1, 56, 56", "1, 2, 3"), ("2, 4, 3136, 1", "2")):
        model: ir.Model = formula(
            source=f"float[{shape}] x",
            results=f"float[{shape}] y",
            constants={"axes": f"int64[{axes.count(',') + 1}] axes = {{{axes}}}"},
            mean=f"mean = ReduceMean <axes = [{axes}]> (x)",
        )
        (site,) = recognise(model).sites
        assert site.e_lambda == 0.1

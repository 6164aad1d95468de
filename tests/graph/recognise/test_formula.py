"""One formula and many graphs: those that are it, and those that differ in one thing."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.recognise import Findings, recognise
from simam_deploy.op.contract import simam_reference
from tests.graph.recognise.formula import checked, formula
from tests.graph.recognise.running import difference, run

SAME = {
    "as it is": {},
    "mean - x": {"d": "d = Sub (mean, x)"},
    "axes reversed": {"mean": "mean = ReduceMean <axes = [3, 2]> (x)"},
    "axes negative": {"mean": "mean = ReduceMean <axes = [-1, -2]> (x)"},
    "mean as a sum": {"mean": "t = ReduceSum (x, axes) mean = Div (t, hw)"},
    "minus the mean added": {
        "mean": "m = ReduceMean <axes = [2, 3]> (x) mean = Neg (m)",
        "d": "d = Add (mean, x)",
    },
    "mean without keepdims": {
        "mean": "m = ReduceMean <axes = [2, 3], keepdims = 0> (x) mean = Unsqueeze (m, axes)",
    },
    "global average": {"mean": "mean = GlobalAveragePool (x)"},
    "mean expanded": {
        "mean": "m = GlobalAveragePool (x) shape = Shape (x) mean = Expand (m, shape)",
    },
    "pow": {"d2": "d2 = Pow (d, two)"},
    "pow of an integer": {"d2": "d2 = Pow (d, itwo)"},
    "d scaled before and after": {
        "d2": "d3 = Mul (d, three) d2 = Mul (d3, d3)",
        "sum": "nine = Mul (three, three) ninth = Mul (lam, nine) sum = Add (v, ninth)",
    },
    "sum of squares": {"s": "s = ReduceSumSquare <axes = [2, 3]> (d)"},
    "sum of squares in opset 18": {
        "opset": 18,
        "mean": "mean = ReduceMean (x, axes)",
        "s": "s = ReduceSumSquare (d, axes)",
    },
    "mean of squares, put right": {
        "s": "t = ReduceMean <axes = [2, 3]> (d2) s = Mul (t, hw)",
    },
    "lambda first": {"sum": "sum = Add (lam, v)"},
    "lambda subtracted": {"sum": "sum = Sub (v, minus_lam)"},
    "4 v + 4 lambda": {
        "v": "nq = Mul (n, quarter) v = Div (s, nq)",
        "sum": "sum = Add (v, four_lam)",
        "denominator": "denominator = Identity (sum)",
    },
    "1 / n as a factor": {"v": "v = Mul (s, inverse_n)"},
    "4 / n as a factor": {
        "v": "v = Mul (s, four_by_n)",
        "sum": "sum = Add (four_lam, v)",
        "denominator": "denominator = Identity (sum)",
    },
    "everything over n": {
        "v": "v = Identity (s)",
        "sum": "nl = Mul (n, lam) sum = Add (v, nl)",
        "denominator": "u = Mul (sum, four) denominator = Div (u, n)",
    },
    "reciprocal": {"quotient": "r = Reciprocal (denominator) quotient = Mul (r, d2)"},
    "1 / x": {"quotient": "r = Div (one, denominator) quotient = Mul (d2, r)"},
    "1/4 over v + lambda": {
        "denominator": "denominator = Div (quarter, sum)",
        "quotient": "quotient = Mul (d2, denominator)",
    },
    "to the power of -1": {"quotient": "r = Pow (denominator, minus_one) quotient = Mul (d2, r)"},
    "d2 / 4 first": {
        "denominator": "denominator = Identity (sum)",
        "quotient": "q = Mul (d2, quarter) quotient = Div (q, denominator)",
    },
    "over 4 last": {
        "denominator": "denominator = Identity (sum)",
        "quotient": "q = Div (d2, denominator) quotient = Div (q, four)",
    },
    "half a z-score, squared": {
        "denominator": "root = Sqrt (sum) denominator = Mul (root, two)",
        "quotient": "z = Div (d, denominator) quotient = Mul (z, z)",
    },
    "d over sqrt(4 v), squared by pow": {
        "denominator": "denominator = Sqrt (four_sum)",
        "sum": "t = Add (v, lam) four_sum = Mul (t, four)",
        "quotient": "z = Div (d, denominator) quotient = Pow (z, two)",
    },
    "root as a power": {
        "denominator": "root = Pow (sum, half) denominator = Mul (root, two)",
        "quotient": "z = Div (d, denominator) quotient = Mul (z, z)",
    },
    "energy turned round twice": {
        "energy": "q = Neg (quotient) e = Sub (minus_half, q) f = Neg (e) g = Neg (f) "
        "h = Add (g, one) energy = Identity (h)",
    },
    "half of twice the energy": {
        "energy": "q = Mul (quotient, two) e = Add (q, one) energy = Mul (e, half)",
    },
    "minus -0.5": {"energy": "energy = Sub (quotient, minus_half)"},
    "0.5 - (-q)": {"energy": "q = Neg (quotient) energy = Sub (half, q)"},
    "gate first": {"y": "y = Mul (gate, x)"},
    "identities": {"gate": "e = Identity (energy) g = Sigmoid (e) gate = Identity (g)"},
    "dropout in inference": {"gate": "g = Sigmoid (energy) gate = Dropout (g, half, no)"},
    "dropout": {"gate": "g = Sigmoid (energy) gate = Dropout (g)"},
    "instance normalisation": {
        "mean": "z = InstanceNormalization <epsilon = 0.09996811> (x, in_scale, in_bias)",
        **dict.fromkeys(("d", "d2", "s", "v", "sum", "denominator"), ""),
        "quotient": "quotient = Mul (z, z)",
    },
    "vectors of one number": {"sum": "sum = Add (v, lam_of_c)"},
}
MORE = {
    "hw": "float hw = {3136}",
    "itwo": "int64 itwo = {2}",
    "three": "float three = {3}",
    "minus_lam": "float minus_lam = {-0.1}",
    "minus_half": "float minus_half = {-0.5}",
    "four_lam": "float four_lam = {0.4}",
    "inverse_n": f"float inverse_n = {{{1 / 3135!r}}}",
    "four_by_n": f"float four_by_n = {{{4 / 3135!r}}}",
    "in_scale": "float[4] in_scale = {" + ", ".join([repr(0.5 * (3135 / 3136) ** 0.5)] * 4) + "}",
    "in_bias": "float[4] in_bias = {" + ", ".join(["0"] * 4) + "}",
    "lam_of_c": "float[4, 1, 1] lam_of_c = {" + ", ".join(["0.1"] * 4) + "}",
}


OTHER = {
    "n = H*W": ({"v": "v = Div (s, hw)"}, "biased variance (n = H*W, not H*W - 1)"),
    "mean of squares": (
        {"s": "s = ReduceMean <axes = [2, 3]> (d2)", "v": "v = Identity (s)"},
        "biased variance (n = H*W, not H*W - 1)",
    ),
    "n = H*W - 2": ({"v": "n2 = Sub (n, one) v = Div (s, n2)"}, "n = 3134, not H*W - 1"),
    "n = H*W, folded": (
        {"v": "v = Mul (s, inverse_hw)"},
        "biased variance (n = H*W, not H*W - 1)",
    ),
    "+1": ({"energy": "energy = Add (quotient, one)"}, "+1.0 instead of +0.5"),
    "-0.5": ({"energy": "energy = Sub (quotient, half)"}, "-0.5 instead of +0.5"),
    "no summand": ({"energy": "energy = Identity (quotient)"}, "no +0.5"),
    "2 (v + lambda)": ({"denominator": "denominator = Mul (sum, two)"}, "coefficient 2 instead"),
    "v + lambda": ({"denominator": "denominator = Identity (sum)"}, "coefficient 1 instead of 4"),
    "3 d^2": (
        {"quotient": "q = Div (d2, denominator) quotient = Mul (q, three)"},
        "n = 9405, not H*W - 1",
    ),
    "-d^2": ({"energy": "energy = Sub (half, quotient)"}, "coefficient -4 instead of 4"),
    "gate times d": (
        {"gate": "g = Sigmoid (energy) gate = Mul (g, d)"},
        "gate of another tensor",
    ),
    "d^3": ({"quotient": "d3 = Mul (d2, d) quotient = Div (d3, denominator)"}, "d^3"),
    "d": ({"quotient": "quotient = Div (d, denominator)"}, "d^1 * (v + lambda)^(-1) instead"),
    "sqrt(v + lambda)": (
        {"denominator": "r = Sqrt (sum) denominator = Mul (r, four)"},
        "d^2 * (v + lambda)^(-1/2) instead",
    ),
    "z-score": (
        {"denominator": "denominator = Sqrt (sum)", "quotient": "quotient = Div (d, denominator)"},
        "(x - mean) / sqrt(v + lambda) instead of (x - mean)^2 / (4 * (v + lambda))",
    ),
    "sum in the numerator": (
        {"quotient": "quotient = Div (s, denominator)"},
        "a sum instead of d^2 in the numerator",
    ),
    "sum of the energy": (
        {"quotient": "q = Div (d2, denominator) quotient = ReduceSum (q, axes)"},
        "a sum instead of d^2 in the numerator",
    ),
    "C reduced in the mean": (
        {"mean": "mean = ReduceMean <axes = [1, 2, 3]> (x)"},
        "the mean reduces C as well",
    ),
    "C reduced in the sum": (
        {"s": "s = ReduceSum (d2, axes_chw)"},
        "the sum reduces C as well",
    ),
    "all reduced": (
        {"mean": "mean = ReduceMean (x)", "s": "s = ReduceSum (d2)"},
        "reduces N and C as well",
    ),
    "only W": (
        {"mean": "mean = ReduceMean <axes = [3]> (x)", "s": "s = ReduceSum (d2, axis_w)"},
        "reduces only W",
    ),
    "C and H": (
        {"mean": "mean = ReduceMean <axes = [1, 2]> (x)", "s": "s = ReduceSum (d2, axes_ch)"},
        "reduces C and H instead of H and W",
    ),
    "tanh": ({"gate": "gate = Tanh (energy)"}, "tanh instead of sigmoid"),
    "hard sigmoid": ({"gate": "gate = HardSigmoid (energy)"}, "hardsigmoid instead of sigmoid"),
    "silu": ({"gate": "g = Sigmoid (energy) gate = Mul (g, energy)"}, "silu instead of sigmoid"),
    "softmax": ({"gate": "gate = Softmax (energy)"}, "softmax instead of sigmoid"),
    "negative lambda": ({"sum": "sum = Sub (v, lam)"}, "negative lambda (-0.1)"),
    "lambda of the channel": ({"sum": "sum = Add (v, lams)"}, "lambda is not one constant"),
    "lambda of the data": (
        {"sum": "m = ReduceMax (x) sum = Add (v, m)"},
        "lambda is not one constant",
    ),
    "summand of the channel": (
        {"energy": "energy = Add (quotient, lams)"},
        "the summand of the energy is not the constant +0.5",
    ),
    "n of the data": ({"v": "m = ReduceMax (x) v = Div (s, m)"}, "n could not be proved"),
    "another's gate": ({"y": "z = Abs (x) y = Mul (z, gate)"}, "gate of another tensor"),
    "another's variance": (
        {"s": "z = Abs (x) zm = GlobalAveragePool (z) zd = Sub (z, zm) zs = Mul (zd, zd) "
         "s = ReduceSum (zs, axes)"},
        "variance of another tensor",
    ),
    "another's energy": (
        {"mean": "z = Abs (x) mean = GlobalAveragePool (z)", "d": "d = Sub (z, mean)"},
        "gate of another tensor",
    ),
}  # fmt: skip
MORE |= {
    "no": "bool no = {0}",
    "inverse_hw": f"float inverse_hw = {{{1 / 3136!r}}}",
    "axes_chw": "int64[3] axes_chw = {1, 2, 3}",
    "axes_ch": "int64[2] axes_ch = {1, 2}",
    "axis_w": "int64[1] axis_w = {3}",
    "lams": "float[4, 1, 1] lams = {0.1, 0.1, 0.1, 0.2}",
}
SILENT = {
    "swish": {"energy": "energy = Identity (x)"},
    "squeeze and excite": {"energy": "r = Relu (mean) energy = Mul (r, two)"},
    "swish of the z-score": {
        "energy": "root = Sqrt (sum) z = Div (d, root) energy = Identity (z)",
        "y": "y = Mul (z, gate)",
    },
    "gate of the variance, scaled by channel": {"energy": "energy = Mul (v, lams)"},
    "gate of the variance and a number of the data": {
        "energy": "m = ReduceMax (x) e = Div (s, m) energy = Add (e, lams)",
    },
    "gate of the variance": {"energy": "energy = Add (v, half)"},
    "z-score that gates nothing": {
        "energy": "root = Sqrt (sum) energy = Div (d, root)",
        "y": "y = Neg (gate)",
    },
    "layer normalisation": {
        **dict.fromkeys(("denominator", "quotient", "energy", "gate"), ""),
        "y": "r = Sqrt (sum) z = Div (d, r) w = Mul (z, lams) y = Add (w, half)",
    },
}


@pytest.mark.parametrize("steps", SAME.values(), ids=SAME)
def test_the_formula_is_recognised_however_it_is_arranged(steps: dict[str, str]) -> None:
    model = formula(**{"constants": MORE, **steps})
    assert off_the_reference(model) < 3e-6
    findings = recognise(model)
    assert findings.near_misses == ()
    (site,) = findings.sites
    assert (site.x.name, site.y.name, site.e_lambda) == ("x", "y", 0.1)
    assert site.shape == (2, 4, 56, 56)


@pytest.mark.parametrize(("steps", "reason"), OTHER.values(), ids=OTHER)
def test_one_step_otherwise_is_refused_with_the_reason(steps: dict[str, str], reason: str) -> None:
    model = formula(constants=MORE, **steps)
    assert off_the_reference(model) > 2e-5
    findings = recognise(model)
    assert findings.sites == ()
    (miss,) = findings.near_misses
    assert reason in miss.reason
    assert miss.shape == (2, 4, 56, 56)


@pytest.mark.parametrize("steps", SILENT.values(), ids=SILENT)
def test_what_does_not_resemble_it_is_not_mentioned(steps: dict[str, str]) -> None:
    assert recognise(formula(constants=MORE, **steps)) == Findings((), ())


def test_lambda_is_what_the_arithmetic_makes_of_it() -> None:
    """4 * v + 0.1 is 4 * (v + 0.025)."""
    v = "w = Div (s, n) v = Mul (w, four)"
    (site,) = recognise(formula(v=v, denominator="denominator = Identity (sum)")).sites
    assert site.e_lambda == 0.025


def off_the_reference(model: ir.Model) -> float:
    x = np.random.default_rng(3).normal(0.2, 0.3, (2, 4, 56, 56)).astype(np.float32)
    (y,) = run(checked(model), x)
    return difference(y, simam_reference(x, 0.1))

"""Means in steps, and a mean that is taken twice: what is SimAM all the same, and what is not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.recognise import recognise
from simam_deploy.op.contract import simam_reference
from tests.graph.recognise.formula import checked, formula
from tests.graph.recognise.running import difference, run

HEIGHT, WIDTH = 6, 9
MORE = {
    "n": f"float n = {{{HEIGHT * WIDTH - 1}}}",
    "hw": f"float hw = {{{HEIGHT * WIDTH}}}",
    "h": f"float h = {{{HEIGHT}}}",
    "nine": f"float nine = {{{WIDTH}}}",
    "axis_h": "int64[1] axis_h = {2}",
    "axis_w": "int64[1] axis_w = {3}",
    "axis_n": "int64[1] axis_n = {0}",
    "axes_cw": "int64[2] axes_cw = {1, 3}",
    "planes": "int64[4] planes = {2, 4, 1, 1}",
    "in_scale": f"float[4] in_scale = {{{', '.join([repr(0.5 * (53 / 54) ** 0.5)] * 4)}}}",
    "in_bias": "float[4] in_bias = {0, 0, 0, 0}",
}


def mean(of: str, to: str, axes: int | str, keep: int = 1) -> str:
    return f"{to} = ReduceMean <axes = [{axes}], keepdims = {keep}> ({of})"


BY_ROWS = f"{mean('x', 'mw', 3)} {mean('mw', 'mean', 2)}"
TWICE = f"d0 = Sub (x, mean) {mean('d0', 'm1', '2, 3')}"
SAME = {
    "W, then H": {"mean": BY_ROWS},
    "H, then W": {"mean": f"{mean('x', 'mh', 2)} {mean('mh', 'mean', 3)}"},
    "W, then both": {"mean": f"{mean('x', 'mw', 3)} {mean('mw', 'mean', '2, 3')}"},
    "mean(3).mean(2)": {
        "mean": f"{mean('x', 'mw', 3, 0)} {mean('mw', 'm', 2, 0)} mean = Unsqueeze (m, axes)"
    },
    "mean(2).mean(2)": {
        "mean": f"{mean('x', 'mh', 2, 0)} {mean('mh', 'm', 2, 0)} mean = Unsqueeze (m, axes)"
    },
    "mean(2).mean(2, keepdim=True)": {
        "mean": f"{mean('x', 'mh', 2, 0)} {mean('mh', 'm', 2)} mean = Unsqueeze (m, axis_w)"
    },
    "mean(3).mean(2), reshaped": {
        "mean": f"{mean('x', 'mw', 3, 0)} {mean('mw', 'm', 2, 0)} mean = Reshape (m, planes)"
    },
    "sums of sums": {"s": "sw = ReduceSum (d2, axis_w) s = ReduceSum (sw, axis_h)"},
    "sums of sums, dropped": {
        "s": "sw = ReduceSum <keepdims = 0> (d2, axis_w) "
        "sh = ReduceSum <keepdims = 0> (sw, axis_h) s = Unsqueeze (sh, axes)"
    },
    "a sum of means": {
        "s": f"{mean('d2', 'sw', 3)} sh = ReduceSum (sw, axis_h) s = Mul (sh, nine)"
    },
    "means of squares, put right": {
        "mean": BY_ROWS,
        "s": f"{mean('d2', 'sw', 3)} {mean('sw', 'sh', 2)} s = Mul (sh, hw)",
    },
    "scaled between the steps": {
        "s": f"{mean('d2', 'sw', 3)} st = Mul (sw, hw) {mean('st', 's', 2)}"
    },
    "a sum and a division": {
        "mean": f"{mean('x', 'mw', 3)} mh = ReduceSum (mw, axis_h) mean = Div (mh, h)"
    },
    "the mean again": {"d": f"{TWICE} d = Sub (d0, m1)"},
    "the mean again, added": {"d": f"{TWICE} n1 = Neg (m1) d = Add (n1, d0)"},
    "the mean again, by rows": {
        "mean": BY_ROWS,
        "d": f"d0 = Sub (x, mean) {mean('d0', 'r', 3)} {mean('r', 'm1', 2)} d = Sub (d0, m1)",
    },
    "the mean again, dropped": {
        "d": f"d0 = Sub (x, mean) {mean('d0', 'r', 3, 0)} {mean('r', 'q', 2, 0)} "
        "m1 = Unsqueeze (q, axes) d = Sub (d0, m1)",
    },
    "the mean three times": {
        "d": f"{TWICE} d1 = Sub (d0, m1) {mean('d1', 'm2', '2, 3')} d = Sub (d1, m2)"
    },
    "the mean again, of all that is left out": {
        "d": "d0 = Sub (x, mean) m1 = GlobalAveragePool (d0) d = Sub (d0, m1)"
    },
    "instance normalisation of d": {
        "d": "z = InstanceNormalization <epsilon = 0.098148148> (d0, in_scale, in_bias)",
        "mean": f"{mean('x', 'm', '2, 3')} d0 = Sub (x, m)",
        **dict.fromkeys(("d2", "s", "v", "sum", "denominator"), ""),
        "quotient": "quotient = Mul (z, z)",
    },
}
OTHER = {
    "W twice": (
        {"mean": f"{mean('x', 'mw', 3)} {mean('mw', 'mean', 3)}"},
        "the mean reduces only W",
    ),
    "W twice in the sum": (
        {"s": "sw = ReduceSum (d2, axis_w) s = ReduceSum (sw, axis_w)"},
        "the sum reduces only W",
    ),
    "W, then N": (
        {"mean": f"{mean('x', 'mw', 3)} {mean('mw', 'mean', 0)}"},
        "the mean reduces N and W instead of H and W",
    ),
    "W, then C": (
        {"mean": f"{mean('x', 'mw', 3)} {mean('mw', 'mean', 1)}"},
        "the mean reduces C and W instead of H and W",
    ),
    "W, then C, dropped": (
        {"mean": f"{mean('x', 'mw', 3, 0)} {mean('mw', 'm', 1, 0)} mean = Unsqueeze (m, axes_cw)"},
        "the mean reduces C and W instead of H and W",
    ),
    "W, H and C": (
        {"mean": f"{mean('x', 'mw', 3)} {mean('mw', 'mh', 2)} {mean('mh', 'mean', 1)}"},
        "the mean reduces C as well",
    ),
    "W, then N in the sum": (
        {"s": "sw = ReduceSum (d2, axis_w) s = ReduceSum (sw, axis_n)"},
        "the sum reduces N and W instead of H and W",
    ),
    "a sum for a mean": (
        {"s": f"{mean('d2', 'sw', 3)} s = ReduceSum (sw, axis_h)"},
        "n = 477, not H*W - 1",
    ),
    "means of squares": (
        {"s": f"{mean('d2', 'sw', 3)} {mean('sw', 's', 2)}", "v": "v = Identity (s)"},
        "biased variance (n = H*W, not H*W - 1)",
    ),
}
UNREAD = {
    "the mean of d over W": f"d0 = Sub (x, mean) {mean('d0', 'm1', 3)} d = Sub (d0, m1)",
    "the mean of d over C": f"d0 = Sub (x, mean) {mean('d0', 'm1', 1)} d = Sub (d0, m1)",
    "the mean of another": f"z = Relu (x) {mean('z', 'm1', '2, 3')} d0 = Sub (x, mean) "
    "d = Sub (d0, m1)",
    "the mean of x again": "d0 = Sub (x, mean) d = Sub (d0, mean)",
    "the mean of its square": f"d0 = Sub (x, mean) e = Mul (d0, d0) {mean('e', 'm1', '2, 3')} "
    "d = Sub (d0, m1)",
}


def built(steps: dict[str, str]) -> ir.Model:
    dims = f"2, 4, {HEIGHT}, {WIDTH}"
    return formula(source=f"float[{dims}] x", results=f"float[{dims}] y", constants=MORE, **steps)


def off_the_reference(model: ir.Model) -> float:
    x = np.random.default_rng(3).normal(0.2, 0.3, (2, 4, HEIGHT, WIDTH)).astype(np.float32)
    (y,) = run(checked(model), x)
    return difference(y, simam_reference(x, 0.1))


@pytest.mark.parametrize("steps", SAME.values(), ids=SAME)
def test_a_mean_in_steps_or_taken_twice_is_a_mean(steps: dict[str, str]) -> None:
    model = built(steps)
    assert off_the_reference(model) < 3e-6
    findings = recognise(model)
    assert findings.near_misses == ()
    (site,) = findings.sites
    assert (site.x.name, site.y.name, site.e_lambda) == ("x", "y", 0.1)


@pytest.mark.parametrize(("steps", "reason"), OTHER.values(), ids=OTHER)
def test_other_steps_are_refused_with_the_reason(steps: dict[str, str], reason: str) -> None:
    model = built(steps)
    assert off_the_reference(model) > 2e-5
    findings = recognise(model)
    assert findings.sites == ()
    (miss,) = findings.near_misses
    assert reason in miss.reason


@pytest.mark.parametrize("d", UNREAD.values(), ids=UNREAD)
def test_what_is_taken_from_d_is_its_own_mean_or_it_is_no_simam(d: str) -> None:
    model = built({"d": d})
    assert off_the_reference(model) > 2e-5
    assert recognise(model).sites == ()

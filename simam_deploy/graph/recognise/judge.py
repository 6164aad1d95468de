"""Is it SimAM? The clauses of `simam_deploy.op.contract`; each says why not, else ""."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from simam_deploy.graph.recognise.forms import Axes, Flawed, Gate, Plane, Term
from simam_deploy.graph.recognise.interval import Interval

_NAMES = "NCHW"
_SPATIAL = Axes({2, 3})
_LOST = 2.0**-25
"""Half a unit in the last place, at the least, of the number that it is a part of."""


@dataclass(frozen=True)
class Verdict:
    """`e_lambda` where it is SimAM, else None and the `reason`."""

    e_lambda: float | None
    reason: str


def judge(gate: Gate, shape: tuple[int, ...]) -> Verdict:
    """Hold `gate`, as read, against the contract; `shape` is that of its feature map."""
    energy = gate.energy
    if isinstance(energy, Flawed):
        return Verdict(None, energy.reason)
    plane = energy.plane
    assert plane is not None  # An energy is d^power * plane^order with a negative order.
    reason = (
        _activation(gate.activation)
        or _exponents(energy)
        or _rank(len(shape))
        or _axes(energy.mean_axes, plane.axes)
        or _offset(energy.offset)
        or _floor(plane, energy.gain)
        or _coefficient(plane.slope / energy.gain, math.prod(shape[2:]))
    )
    return Verdict(None, reason) if reason else _lambda(plane, energy.gain)


def _activation(name: str) -> str:
    return "" if name == "sigmoid" else f"{name} instead of sigmoid"


def _exponents(energy: Term) -> str:
    if energy.is_simam:
        return ""
    if energy.power == 1 and energy.order == Fraction(-1, 2):
        return "(x - mean) / sqrt(v + lambda) instead of (x - mean)^2 / (4 * (v + lambda))"
    return f"d^{energy.power} * (v + lambda)^({energy.order}) instead of d^2 / (v + lambda)"


def _rank(rank: int) -> str:
    if rank == 4:
        return ""
    variant = {3: "1-D variant: x is (N, C, L)", 5: "3-D variant: x is (N, C, D, H, W)"}
    return f"{variant.get(rank, f'x has {rank} dimensions')}, SimAM takes (N, C, H, W)"


def _axes(mean: Axes, total: Axes) -> str:
    if mean == total:
        return _reduction(mean)
    mean_reason, sum_reason = _reduction(mean), _reduction(total)
    return f"the mean {mean_reason}" if mean_reason else f"the sum {sum_reason}"


def _reduction(axes: Axes) -> str:
    names = " and ".join(_NAMES[axis] for axis in sorted(axes))
    if axes == _SPATIAL:
        return ""
    if axes > _SPATIAL:
        return f"reduces {' and '.join(_NAMES[axis] for axis in sorted(axes - _SPATIAL))} as well"
    return f"reduces only {names}" if axes < _SPATIAL else f"reduces {names} instead of H and W"


def _offset(offset: Interval) -> str:
    if offset.contains(0.5):
        return ""
    return "no +0.5" if offset.contains(0.0) else f"{offset.shortest():+} instead of +0.5"


def _floor(plane: Plane, gain: Interval) -> str:
    """Check that no clamp of the variance binds, or that float32 loses it when lambda is added."""
    if plane.floor == 0 or 0 < plane.floor / (plane.bias.middle or math.inf) <= _LOST:
        return ""
    return f"the variance is clamped at {plane.floor / (4 * gain.middle):.3g}, which binds"


def _coefficient(per_sum: Interval, pixels: int) -> str:
    """Check 4 / n, which the denominator has before sum(d^2)."""
    if pixels < 2:
        return "H*W = 1, where SimAM divides by zero"
    coefficient = per_sum * Interval.exactly(pixels - 1)
    if coefficient.contains(4.0):
        return ""
    if (per_sum * Interval.exactly(pixels)).contains(4.0):
        return "biased variance (n = H*W, not H*W - 1)"
    written = coefficient.shortest()
    if (8 * written).is_integer():
        return f"coefficient {written:g} instead of 4"
    return f"n = {(Interval.exactly(4.0) / per_sum).shortest():g}, not H*W - 1"


def _lambda(plane: Plane, gain: Interval) -> Verdict:
    e_lambda = plane.bias / (gain * Interval.exactly(4.0))
    if not e_lambda.finite:
        return Verdict(None, f"lambda = {e_lambda.middle}, broken")
    if e_lambda.high < 0:
        return Verdict(None, f"negative lambda ({e_lambda.shortest():g})")
    return Verdict(e_lambda.shortest(), "")

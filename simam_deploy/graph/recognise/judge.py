"""Is it SimAM? The clauses of `simam_deploy.op.contract`; each says why not, else ""."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from simam_deploy.graph.recognise.forms import Axes, Flawed, Gate, Plane, Term
from simam_deploy.graph.recognise.interval import Interval
from simam_deploy.graph.recognise.planes import NAMES, order

SATURATED = 25 * math.log(2)
"""Of this energy on, the sigmoid in float32 is 1: it is less than half a unit away."""
_LOST = 2.0**-25
"""Half a unit in the last place, at the least, of the number that it is a part of."""


@dataclass(frozen=True)
class Verdict:
    """`e_lambda` where it is SimAM, else None and the `reason`."""

    e_lambda: float | None
    reason: str


def judge(gate: Gate, shape: tuple[int, ...], last: bool) -> Verdict:
    """Hold `gate`, as read, against the contract.

    Args:
        gate: With its energy.
        shape: That of its feature map.
        last: Whether the map has its channels last.
    """
    energy = gate.energy
    if isinstance(energy, Flawed):
        before = f" before {gate.activation}" if energy.is_simam else ""
        return Verdict(None, energy.reason + before)
    plane = energy.plane
    assert plane is not None  # An energy is d^power * plane^order with a negative order.
    names, pixels = NAMES.get((len(shape), last), ""), order(len(shape), last)[2:]
    mean, total = (_counted(axes, pixels, shape) for axes in (energy.mean_axes, plane.axes))
    reason = (
        _activation(gate.activation)
        or _exponents(energy)
        or _rank(len(shape))
        or _axes(mean, total, names)
        or _offset(energy.offset)
        or _cap(energy.cap)
        or _floor(plane, energy.gain)
        or _coefficient(plane.slope / energy.gain, shape, pixels, names)
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
    return "" if 3 <= rank <= 5 else f"x has {rank} dimensions, SimAM takes (N, C, H, W)"


def _counted(axes: Axes, pixels: tuple[int, ...], shape: tuple[int, ...]) -> Axes:
    """Return `axes`, of which a dimension of 1 is one that counts in a plane and nowhere else."""
    alone = {axis for axis, size in enumerate(shape) if size == 1}
    return (axes - alone) | alone.intersection(pixels)


def _axes(mean: Axes, total: Axes, names: str) -> str:
    if mean == total:
        return _reduction(mean, names)
    mean_reason, sum_reason = _reduction(mean, names), _reduction(total, names)
    return f"the mean {mean_reason}" if mean_reason else f"the sum {sum_reason}"


def _reduction(axes: Axes, names: str) -> str:
    plane = Axes(axis for axis, name in enumerate(names) if name not in "NC")
    written = " and ".join(names[axis] for axis in sorted(axes))
    if axes == plane:
        return ""
    if axes > plane:
        return f"reduces {' and '.join(names[axis] for axis in sorted(axes - plane))} as well"
    whole = " and ".join(names[axis] for axis in sorted(plane))
    return f"reduces only {written}" if axes < plane else f"reduces {written} instead of {whole}"


def _offset(offset: Interval) -> str:
    if offset.contains(0.5):
        return ""
    return "no +0.5" if offset.contains(0.0) else f"{offset.shortest():+} instead of +0.5"


def _cap(cap: float | None) -> str:
    """Check that a clamp of the energy leaves the sigmoid as it is."""
    binds = cap is not None and cap < SATURATED
    return f"the energy is clamped at {cap:.3g}, which binds" if binds else ""


def _floor(plane: Plane, gain: Interval) -> str:
    """Check that no clamp of the variance binds, or that float32 loses it when lambda is added."""
    if plane.floor == 0 or 0 < plane.floor / (plane.bias.middle or math.inf) <= _LOST:
        return ""
    return f"the variance is clamped at {plane.floor / (4 * gain.middle):.3g}, which binds"


def _coefficient(
    per_sum: Interval, shape: tuple[int, ...], plane: tuple[int, ...], names: str
) -> str:
    """Check 4 / n, which the denominator has before sum(d^2)."""
    pixels, size = math.prod(shape[axis] for axis in plane), "*".join(names[a] for a in plane)
    if pixels < 2:
        return f"{size} = 1, where SimAM divides by zero"
    coefficient = per_sum * Interval.exactly(pixels - 1)
    if coefficient.contains(4.0):
        return ""
    if (per_sum * Interval.exactly(pixels)).contains(4.0):
        return f"biased variance (n = {size}, not {size} - 1)"
    written = coefficient.shortest()
    if (8 * written).is_integer():
        return f"coefficient {written:g} instead of 4"
    return f"n = {(Interval.exactly(4.0) / per_sum).shortest():g}, not {size} - 1"


def _lambda(plane: Plane, gain: Interval) -> Verdict:
    e_lambda = plane.bias / (gain * Interval.exactly(4.0))
    if not e_lambda.finite:
        return Verdict(None, f"lambda = {e_lambda.middle}, broken")
    if e_lambda.high < 0:
        return Verdict(None, f"negative lambda ({e_lambda.shortest():g})")
    return Verdict(e_lambda.shortest(), "")

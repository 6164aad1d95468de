"""The rules of `Term`: what its multiples, sums, products, powers and reductions are."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from simam_deploy.graph.recognise.forms import Axes, Flawed, Plane, Rest, Term
from simam_deploy.graph.recognise.interval import ONE, ZERO, Interval


def scale(term: Term, factor: Interval) -> Term:
    """Return `term` * `factor`."""
    if term.is_plane and term.plane:
        return replace(term, plane=_times(term.plane, factor))
    cap = None if term.cap is None else term.cap * factor.middle
    return replace(term, gain=term.gain * factor, offset=term.offset * factor, cap=cap)


def shift(term: Term, summand: Interval) -> Term:
    """Return `term` + `summand`."""
    if term.is_plane and term.plane:
        return replace(term, plane=replace(term.plane, bias=term.plane.bias + summand))
    cap = None if term.cap is None else term.cap + summand.middle
    return replace(term, offset=term.offset + summand, cap=cap)


def power(term: Term, exponent: Fraction) -> Term | None:
    """Return `term`^`exponent`, None where that is no term."""
    fractional = term.power and exponent.denominator != 1
    if term.offset != ZERO or fractional or term.cap is not None:
        return None
    raised = replace(
        term,
        gain=term.gain.power(exponent),
        power=int(term.power * exponent),
        order=term.order * exponent,
    )
    return _settled(raised)


def product(a: Term, b: Term) -> Term | Flawed | None:
    """Return `a` * `b`, None where that is no term."""
    if a.offset != ZERO or b.offset != ZERO or a.cap is not None or b.cap is not None:
        return None
    pixel = a if a.power else b
    if a.root is not b.root:
        return Flawed(pixel.root, "variance of another tensor")
    if a.mean_axes != b.mean_axes:
        return Flawed(pixel.root, "the means of numerator and variance differ in their axes")
    if a.plane and b.plane and a.plane != b.plane:
        opposed = a.order * b.order < 0
        return Flawed(pixel.root, "a sum instead of d^2 in the numerator") if opposed else None
    whole = replace(
        pixel,
        gain=a.gain * b.gain,
        power=a.power + b.power,
        plane=a.plane or b.plane,
        order=a.order + b.order,
        cancels=a.cancels or b.cancels,
    )
    return _settled(whole)


def joined(flawed: Flawed, other: object) -> Flawed:
    """Return what `flawed` is after it has met `other` in a sum or a product."""
    return replace(flawed, is_energy=True) if isinstance(other, Term) and other.power else flawed


def total(term: Term, axes: Axes, count: int, mean: bool, form: str) -> Rest | Term | Flawed | None:
    """Return the sum, or the mean, of `term` over `axes` of x, which are `count` elements."""
    share = Interval.exactly(1 / count) if mean else ONE
    if term.power and term.order:
        return Flawed(term.root, "a sum instead of d^2 in the numerator")
    if term.is_difference and mean:
        return Rest(term.root, term.mean_axes, axes)
    if term.is_plane and term.plane and term.plane.bias == ZERO and not term.plane.floor:
        slope, axes = term.plane.slope * share, term.plane.axes | axes
        return replace(term, plane=replace(term.plane, slope=slope, axes=axes))
    if term.power != 2 or term.offset != ZERO:
        return None
    plane = Plane(term.gain * share, ZERO, axes, form)
    return replace(term, gain=ONE, power=0, plane=plane, order=Fraction(1))


def without(term: Term, rest: Rest) -> Term | None:
    """Return `term` - `rest` or their sum, None where that is no term."""
    is_zero = rest.axes >= rest.mean_axes == term.mean_axes
    return term if term.is_difference and term.root is rest.root and is_zero else None


def _settled(term: Term) -> Term | None:
    """Return `term` with the gain of a bare plane inside the plane; None for a constant."""
    if term.power == 0 and term.order == 0:
        return None
    if not term.is_plane:
        return term
    return scale(replace(term, gain=ONE), term.gain)


def added(a: Term, b: Term) -> Term | None:
    """Return the sum of two planes, None where it is none."""
    p, q = a.plane, b.plane
    if a.root is not b.root or a.mean_axes != b.mean_axes or not p or not q:
        return None
    if not (a.is_plane and b.is_plane) or p.axes != q.axes or p.floor or q.floor:
        return None
    return replace(a, plane=replace(p, slope=p.slope + q.slope, bias=p.bias + q.bias))


def floored(term: Term, bound: Interval) -> Term | None:
    """Return max(`term`, `bound`): itself where it is never less, None where that is no term."""
    lowest = least(term)
    if bound.low <= lowest:
        return term
    if not (term.is_plane and term.plane) or lowest == -math.inf:
        return None
    floor = max(term.plane.floor, bound.low - term.plane.bias.high)
    return replace(term, plane=replace(term.plane, floor=floor))


def capped(term: Term, bound: Interval) -> Term | None:
    """Return min(`term`, `bound`) of d^2 over the plane, None where that is no such term."""
    if not (term.is_simam and term.gain.low > 0):
        return None
    return replace(term, cap=min(bound.low, math.inf if term.cap is None else term.cap))


def least(term: Term) -> float:
    """Return what `term` is at least, whatever x is, give or take the rounding of constants."""
    lowest = 0.0 if term.plane is None else _least_of(term.plane)
    if term.power % 2 or lowest < 0 or term.gain.low < 0:
        return -math.inf
    if term.power or term.order <= 0:
        return term.offset.high
    return term.gain.high * math.pow(lowest, term.order) + term.offset.high


def _least_of(plane: Plane) -> float:
    return plane.bias.high + max(plane.floor, 0.0) if plane.slope.low >= 0 else -math.inf


def _times(plane: Plane, factor: Interval) -> Plane:
    slope, bias = plane.slope * factor, plane.bias * factor
    return replace(plane, slope=slope, bias=bias, floor=plane.floor * factor.middle)

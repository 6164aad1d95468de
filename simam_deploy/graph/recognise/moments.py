"""The rules of `Square` and `Moment`: the variance as a difference of two sums.

    S  =  sum(d^2)  =  sum(x^2) - sum(x)^2 / count

In floating point the two sums are close where the mean is large, and their difference is what
rounding left: a plane's statistics so written are found for what they mean, not for what they give.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from simam_deploy.graph.recognise.forms import (
    Average,
    Axes,
    Flawed,
    Moment,
    Plane,
    Square,
    Term,
)
from simam_deploy.graph.recognise.interval import ZERO, Interval

FORM = "moments"
"""As a site reports it."""

_TWO = Fraction(2)


def mean_squared(average: Average) -> Moment:
    """Return the square of a mean, or of a sum."""
    first = average.share.power(_TWO)
    return Moment(average.root, average.axes, average.count, ZERO, first)


def total(square: Square, axes: Axes, count: int, share: Interval) -> Moment:
    """Return `share` times the sum of `square` over `axes`, which are `count` elements."""
    return Moment(square.root, axes, count, square.factor * share, ZERO, square.value)


def further(moment: Moment, axes: Axes, count: int, share: Interval) -> Moment | None:
    """Return `share` times the sum of what is left of a sum of squares over `axes`."""
    if moment.square is None:
        return None
    second, merged = moment.second * share, moment.axes | axes
    return replace(moment, axes=merged, count=moment.count * count, second=second)


def scale(moment: Moment, factor: Interval) -> Moment:
    """Return `moment` * `factor`."""
    return replace(moment, second=moment.second * factor, first=moment.first * factor)


def added(a: Moment, b: Moment) -> Term | Moment | None:
    """Return `a` + `b`: S, or a multiple of it, where they make that."""
    if a.root is not b.root or a.axes != b.axes:
        return None
    second, first = a.second + b.second, a.first + b.first
    mixed = Moment(a.root, a.axes, a.count, second, first)
    if second.low <= 0 <= second.high or not _cancels(mixed):
        return mixed
    return Term(a.root, a.axes, power=0, plane=Plane(second, ZERO, a.axes, FORM), order=Fraction(1))


def as_average(moment: Moment) -> Average | None:
    """Return a sum of squares as one of a map of its own, x^2."""
    if moment.square is None:
        return None
    return Average(moment.square, moment.axes, moment.count, moment.second)


def flawed(moment: Moment) -> Flawed | None:
    """Return why a difference of sums is no variance; None for a sum of squares, as RMSNorm's."""
    reason = "E[x^2] and E[x]^2 do not make a variance as they are weighted"
    return None if moment.first == ZERO else Flawed(moment.root, reason, is_energy=False)


def _cancels(moment: Moment) -> bool:
    weight = moment.first * Interval.exactly(moment.count) / moment.second
    return weight.contains(-1.0)

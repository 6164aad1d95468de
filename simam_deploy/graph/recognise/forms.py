"""What a value of the graph is, algebraically, in terms of one feature map x.

SimAM is not matched as an arrangement of nodes. Each value that is computed from x by the
operators of its formula is read as one of a few forms, and the rules here say what form a sum, a
product or a power of forms is. Any arrangement of the formula thus ends in the same `Term`:

    gain * d^power * (slope * S + bias)^order + offset,   d = x - mean(x),  S = sum(d^2)

whose gate is SimAM's if power = 2, order = -1, slope * (H*W - 1) / gain = 4 and offset = 1/2; then
lambda is bias / (4 * gain).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

import onnx_ir as ir

from simam_deploy.graph.recognise.interval import ONE, ZERO, Interval

Axes = frozenset[int]
"""Dimensions of x."""


@dataclass(frozen=True)
class Map:
    """The feature map itself, cast or reshaped perhaps, or `factor` times a flattened one."""

    root: ir.Value
    factor: Interval = ONE


@dataclass(frozen=True)
class Average:
    """`share` times the sum of x over `axes`: the mean where share is 1 / `count`."""

    root: ir.Value
    axes: Axes
    count: int
    share: Interval


@dataclass(frozen=True)
class Rest:
    """The mean of d over `axes`; over all of `mean_axes`, those of the mean in d, it is zero.

    It is what rounding left of the mean: taken from d, it leaves d.
    """

    root: ir.Value
    mean_axes: Axes
    axes: Axes


@dataclass(frozen=True)
class Plane:
    """`slope` * S + `bias` with S = sum(d^2) over `axes`.

    Attributes:
        form: How the sum was taken, as a site reports it.
    """

    slope: Interval
    bias: Interval
    axes: Axes
    form: str = field(compare=False)


@dataclass(frozen=True)
class Term:
    """`gain` * d^`power` * `plane`^`order` + `offset`; `mean_axes` are those of the mean in d."""

    root: ir.Value
    mean_axes: Axes
    gain: Interval = ONE
    power: int = 1
    plane: Plane | None = None
    order: Fraction = Fraction(0)
    offset: Interval = ZERO

    @property
    def is_difference(self) -> bool:
        """Whether it is just d, or a multiple of it."""
        return self.power == 1 and self.plane is None and self.offset == ZERO

    @property
    def is_plane(self) -> bool:
        """Whether it is just `plane`: one number a plane, affine in S."""
        return self.power == 0 and self.order == 1

    @property
    def is_energy(self) -> bool:
        """Whether it is d to some power over the plane to some power."""
        return self.power > 0 and self.order < 0

    @property
    def is_simam(self) -> bool:
        """Whether it is d^2 over the plane, as in SimAM, whatever the numbers."""
        return self.power == 2 and self.order == -1


@dataclass(frozen=True)
class Flawed:
    """What would be part of SimAM, but for `reason`.

    Attributes:
        is_energy: Whether it would be all of the energy, or its denominator only.
    """

    root: ir.Value
    reason: str
    is_energy: bool = True


@dataclass(frozen=True)
class Gate:
    """An activation, computed by `node`, of an energy."""

    root: ir.Value
    energy: Term | Flawed
    activation: str
    node: ir.Node


Form = Map | Average | Rest | Term | Flawed | Gate


def scale(term: Term, factor: Interval) -> Term:
    """Return `term` * `factor`."""
    if term.is_plane and term.plane:
        slope, bias = term.plane.slope * factor, term.plane.bias * factor
        return replace(term, plane=replace(term.plane, slope=slope, bias=bias))
    return replace(term, gain=term.gain * factor, offset=term.offset * factor)


def shift(term: Term, summand: Interval) -> Term:
    """Return `term` + `summand`."""
    if term.is_plane and term.plane:
        return replace(term, plane=replace(term.plane, bias=term.plane.bias + summand))
    return replace(term, offset=term.offset + summand)


def power(term: Term, exponent: Fraction) -> Term | None:
    """Return `term`^`exponent`, None where that is no term."""
    if term.offset != ZERO or (term.power and exponent.denominator != 1):
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
    if a.offset != ZERO or b.offset != ZERO:
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
    if term.is_plane and term.plane and term.plane.bias == ZERO:
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

"""The rules of `Blend` and `Inverse`, in which the paper's own formula is read.

Equation (5) is e* = 4 (v + lambda) / (d^2 + 2 v + 2 lambda), and the gate is that of

    1 / e*  =  (d^2 + 2 v + 2 lambda) / (4 (v + lambda))  =  d^2 / (4 (v + lambda)) + 1/2
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from simam_deploy.graph.recognise import terms
from simam_deploy.graph.recognise.forms import Blend, Flawed, Inverse, Plane, Term
from simam_deploy.graph.recognise.interval import ZERO, Interval

_MINUS_ONE = Fraction(-1)


def blended(a: Term, b: Term) -> Blend | None:
    """Return `a` + `b` where one is a multiple of d^2 and the other a plane, None elsewhere."""
    pixel, plane = (a, b) if a.power else (b, a)
    square = pixel.power == 2 and pixel.plane is None
    same = a.root is b.root and a.mean_axes == b.mean_axes
    if not (same and square and plane.is_plane):
        return None
    return Blend(a.root, replace(pixel, offset=ZERO), terms.shift(plane, pixel.offset))


def added(blend: Blend, term: Term) -> Blend | None:
    """Return `blend` + `term`, None where that is no blend."""
    plane = terms.added(blend.plane, term)
    return None if plane is None else replace(blend, plane=plane)


def shift(blend: Blend, summand: Interval) -> Blend:
    """Return `blend` + `summand`."""
    return replace(blend, plane=terms.shift(blend.plane, summand))


def scaled(of: Term | Blend, factor: Interval) -> Term | Blend:
    """Return `of` * `factor`."""
    if isinstance(of, Term):
        return terms.scale(of, factor)
    pixel, plane = (terms.scale(part, factor) for part in (of.pixel, of.plane))
    return replace(of, pixel=pixel, plane=plane)


def product(blend: Blend, factor: Term) -> Term | Flawed | None:
    """Return `blend` * `factor`, where that is one over a plane: `blend` / plane."""
    term = terms.product(blend.pixel, factor)
    if factor.power or factor.order != -1 or not isinstance(term, Term):
        return term if isinstance(term, Flawed) else None
    assert blend.plane.plane and factor.plane  # Each has an order.
    share = _share(blend.plane.plane, factor.plane)
    if share is None:
        reason = "the variance or lambda added to d^2 is not that of the denominator"
        return Flawed(blend.root, reason)
    return terms.shift(term, share * factor.gain)


def inverse(of: Term | Blend) -> Inverse:
    """Return 1 / `of`."""
    return Inverse(of.root, of)


def times(one_over: Inverse, factor: Term | Interval) -> Inverse | Flawed | None:
    """Return `one_over` * `factor`, which is one over what it is of / `factor`."""
    of: Term | Blend | Flawed | None
    if isinstance(factor, Interval):
        of = scaled(one_over.of, factor.power(_MINUS_ONE))
    else:
        divisor = terms.power(factor, _MINUS_ONE)
        blend = one_over.of if isinstance(one_over.of, Blend) else None
        of = product(blend, divisor) if blend and divisor else None
    return inverse(of) if isinstance(of, Term | Blend) else of


def _share(plane: Plane, whole: Plane) -> Interval | None:
    """Return what `plane` is of `whole`, None unless that is one number."""
    if plane.axes != whole.axes or plane.floor or whole.floor:
        return None
    share = plane.slope / whole.slope
    if plane.bias == ZERO == whole.bias:
        return share
    of_bias = plane.bias / whole.bias
    return share if of_bias.finite and share.meets(of_bias) else None

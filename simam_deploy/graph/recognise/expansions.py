"""The rules of `Expansion`: d^2 multiplied out, of x and the mean m of it.

    (x - m)^2  =  x^2 - 2 x m + m^2

In floating point that cancels where the mean is large, as a variance of `moments` does.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from simam_deploy.graph.recognise.forms import Average, Expansion, Map, Moment, Square, Term
from simam_deploy.graph.recognise.interval import ZERO, Interval
from simam_deploy.graph.recognise.scene import Scene


def mixed(value: ir.Value, average: Average, scene: Scene) -> Expansion | None:
    """Return `value` * `average`, where the former is a multiple of what the latter is the mean of.

    A map times a number is one of its own, so that 2 x is looked through here.
    """
    factor = _multiple(value, average.root, scene)
    if factor is None:
        return None
    share = average.share * factor
    return Expansion(average.root, average.axes, average.count, ZERO, share, ZERO)


def scale(expansion: Expansion, factor: Interval) -> Expansion:
    """Return `expansion` * `factor`."""
    parts = (expansion.square, expansion.mixed, expansion.first)
    square, both, first = (part * factor for part in parts)
    return replace(expansion, square=square, mixed=both, first=first)


def added(a: Square | Expansion, b: Square | Moment | Expansion) -> Expansion | Term | None:
    """Return `a` + `b`: d^2, or a multiple of it, where they make that."""
    known = next((each for each in (a, b) if not isinstance(each, Square)), None)
    if known is None or isinstance(known, Square) or a.root is not b.root:
        return None
    one, other = (_expanded(each, known) for each in (a, b))
    if one is None or other is None or (one.axes, one.count) != (other.axes, other.count):
        return None
    return _settled(
        replace(
            one,
            square=one.square + other.square,
            mixed=one.mixed + other.mixed,
            first=one.first + other.first,
        )
    )


def _settled(expansion: Expansion) -> Expansion | Term:
    count = Interval.exactly(expansion.count)
    if expansion.square.low <= 0 <= expansion.square.high:
        return expansion
    both = expansion.mixed * count / expansion.square
    first = expansion.first * count * count / expansion.square
    if not (both.contains(-2.0) and first.contains(1.0)):
        return expansion
    root, axes = expansion.root, expansion.axes
    return Term(root, axes, gain=expansion.square, power=2, cancels=True)


def _expanded(form: Square | Moment | Expansion, like: Moment | Expansion) -> Expansion | None:
    """Return x^2 and sum(x)^2 as parts of an expansion; None of a sum of squares."""
    if isinstance(form, Expansion):
        return form
    if isinstance(form, Square):
        return Expansion(form.root, like.axes, like.count, form.factor, ZERO, ZERO)
    if form.second != ZERO:
        return None
    return Expansion(form.root, form.axes, form.count, ZERO, ZERO, form.first)


def _multiple(value: ir.Value, root: ir.Value, scene: Scene) -> Interval | None:
    """Return what `value` is times `root`; None where it is no multiple."""
    form = scene.form(value)
    if isinstance(form, Map) and form.root is root:
        return form.factor
    node = value.producer()
    if node is None or node.op_type != "Mul" or not scene.facts.is_valid(node):
        return None
    other = next((v for v in node.inputs if v is not root), None)
    same = root in node.inputs and scene.shape(root) == scene.shape(value)
    return scene.interval(other) if same and other is not None else None

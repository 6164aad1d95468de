"""Operators that leave numbers as they are unless one lies beyond a bound, or is none."""

from __future__ import annotations

import math
from dataclasses import replace

import onnx_ir as ir

from simam_deploy.graph.recognise import gates, terms
from simam_deploy.graph.recognise.forms import Absolute, Flawed, Form, Gate, NotFinite, Term
from simam_deploy.graph.recognise.interval import ZERO, Interval
from simam_deploy.graph.recognise.judge import SATURATED
from simam_deploy.graph.recognise.scene import Scene


def clip(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read Clip."""
    low, high = (_bound(node, place, scene) for place in (1, 2))
    form = _at_least(node, scene.form(value), low)
    return _at_most(node, form, high, value, scene)


def relu(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read Relu, which is a clamp at 0."""
    return _at_least(node, scene.form(value), ZERO)


def maximum(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read Max of a value and a constant."""
    value, bound = _value_and_bound(a, b, scene)
    return None if bound is None else _at_least(node, scene.form(value), bound)


def minimum(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read Min of a value and a constant."""
    value, bound = _value_and_bound(a, b, scene)
    return None if bound is None else _at_most(node, scene.form(value), bound, value, scene)


def absolute(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read Abs: of d, whose square is that of d, and of what is never negative."""
    form = scene.form(value)
    if not isinstance(form, Term):
        return None
    if form.is_difference:
        return Absolute(form.root, form)
    return form if terms.least(form) >= 0 else None


def not_finite(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read IsNaN and IsInf of what is a finite number for every finite x."""
    form = scene.form(value)
    return NotFinite(form.root) if form is not None and _is_finite(form) else None


def greater(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a > b of what is never that large: the linear part of a softplus, say."""
    form, bound = scene.form(a), scene.interval(b)
    if not isinstance(form, Term) or bound is None:
        return None
    largest = -terms.least(terms.scale(form, Interval.exactly(-1.0)))
    return NotFinite(form.root, never=True) if largest < bound.low else None


def negated(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read Not."""
    form = scene.form(value)
    return replace(form, inverted=not form.inverted) if isinstance(form, NotFinite) else None


def both(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read And: true at most where one of its operands is, false where one is."""
    return _joined(scene.form(a), scene.form(b), inverted=False)


def either(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read Or: false at most where one of its operands is, true where one is."""
    return _joined(scene.form(a), scene.form(b), inverted=True)


def where(node: ir.Node, condition: ir.Value, scene: Scene) -> Form | None:
    """Read Where that puts a number in the place of what is none, or anything in no place."""
    mask = scene.form(condition)
    if not isinstance(mask, NotFinite):
        return None
    number, value = node.inputs[:0:-1] if mask.inverted else node.inputs[1:]
    form = None if value is None else scene.form(value)
    if number is None or value is None or form is None or form.root is not mask.root:
        return None
    same = scene.shape(node.outputs[0]) == scene.shape(value)
    return form if same and (mask.never or scene.interval(number) is not None) else None


def _joined(a: Form | None, b: Form | None, inverted: bool) -> NotFinite | None:
    """Return what holds of both masks together, where one that is not `inverted` is enough."""
    masks = [form for form in (a, b) if isinstance(form, NotFinite)]
    alone = next((mask for mask in masks if mask.inverted is inverted), None)
    if alone is not None or len(masks) < 2 or masks[0].root is not masks[1].root:
        return alone
    return replace(masks[0], never=masks[0].never and masks[1].never)


def _is_finite(form: Form) -> bool:
    """Tell whether what `form` says is a finite number for every finite x.

    Where lambda is 0 it is none on a constant plane, and a number in its place is another result.
    """
    if isinstance(form, Gate | Flawed):
        return isinstance(form, Gate) and isinstance(form.energy, Term) and _is_finite(form.energy)
    if not isinstance(form, Term):
        return False
    return form.order >= 0 or (form.plane is not None and form.plane.bias.low > 0)


def _bound(node: ir.Node, place: int, scene: Scene) -> Interval | None:
    """Return a bound of Clip; none is infinite, None is one that is no constant."""
    bound = node.inputs[place] if len(node.inputs) > place else None
    endless = Interval.exactly(math.inf if place == 2 else -math.inf)
    return endless if bound is None else scene.interval(bound)


def _value_and_bound(a: ir.Value, b: ir.Value, scene: Scene) -> tuple[ir.Value, Interval | None]:
    bound = scene.interval(b)
    return (b, scene.interval(a)) if bound is None else (a, bound)


def _at_least(node: ir.Node, form: Form | None, bound: Interval | None) -> Form | None:
    if bound is not None and bound.high == -math.inf:
        return form
    if not isinstance(form, Term) or bound is None:
        return _bounded(node, form)
    return terms.floored(form, bound) or _bounded(node, form)


def _at_most(
    node: ir.Node, form: Form | None, bound: Interval | None, value: ir.Value, scene: Scene
) -> Form | None:
    if bound is not None and bound.low >= _largest(value, scene):
        return form
    single = scene.facts.dtype(value) != ir.DataType.DOUBLE
    if bound is None or not isinstance(form, Term) or not single or bound.low < SATURATED:
        return _bounded(node, form)
    return terms.capped(form, bound) or _bounded(node, form)  # the judge sees what becomes of it


def _bounded(node: ir.Node, form: Form | None) -> Form | None:
    """Return what a bound that binds makes of `form`."""
    if isinstance(form, Term | Flawed) and form.is_energy:
        return gates.activated(node, form)
    if isinstance(form, Term) and form.power == 0:
        reason = f"a bound on the variance ({node.op_type}) that binds"
        return Flawed(form.root, reason, is_energy=False)
    return None


def _largest(value: ir.Value, scene: Scene) -> float:
    """Return the largest number of the type of `value`: no bound from there on binds."""
    dtype = scene.facts.dtype(value)
    return {ir.DataType.FLOAT16: 65504.0}.get(dtype, float(2.0**127))

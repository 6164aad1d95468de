"""Single operands of an operator: as forms or constants, their multiples and powers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import onnx_ir as ir

from simam_deploy.graph.recognise import blends, expansions, gates, moments, terms
from simam_deploy.graph.recognise.forms import (
    Absolute,
    Average,
    Blend,
    Expansion,
    Flawed,
    Form,
    Gate,
    Inverse,
    Map,
    Moment,
    Rest,
    Square,
    Term,
)
from simam_deploy.graph.recognise.interval import Interval
from simam_deploy.graph.recognise.scene import Scene

_MINUS_ONE = Interval.exactly(-1.0)

Operand = Form | Interval | None


def operand(value: ir.Value, scene: Scene) -> Operand:
    """Return the constant that `value` is, else its form."""
    return scene.interval(value) or scene.form(value)


def keeps_shape(node: ir.Node, value: ir.Value, scene: Scene) -> bool:
    """Tell whether `node` leaves the shape of `value` as it is: a constant may broadcast it."""
    return scene.shape(node.outputs[0]) == scene.shape(value)


def joined(
    node: ir.Node, flawed: Flawed, other: Operand, value: ir.Value, scene: Scene
) -> Flawed | None:
    """Return what `flawed`, of `value`, is beside `other`; None where that is a map of pixels."""
    met = terms.joined(flawed, other)
    return met if met.is_energy or keeps_shape(node, value, scene) else None


def negated(operand: Operand, node: ir.Node) -> Operand:
    """Return -`operand`, which `node` computes."""
    if isinstance(operand, Interval):
        return -operand
    if isinstance(operand, Flawed | Rest):
        return operand
    if isinstance(operand, Gate):
        return gates.scaled(operand, _MINUS_ONE, node)
    return multiple(operand, _MINUS_ONE)


def multiple(form: Form | None, factor: Interval) -> Form | None:
    """Return `form` * `factor`, None where it has no multiple, as a map."""
    if isinstance(form, Average):
        return replace(form, share=form.share * factor)
    if isinstance(form, Term | Blend):
        return blends.scaled(form, factor)
    if isinstance(form, Moment):
        return moments.scale(form, factor)
    if isinstance(form, Expansion):
        return expansions.scale(form, factor)
    return blends.times(form, factor) if isinstance(form, Inverse) else None


def power_of(form: Form | None, exponent: Fraction, node: ir.Node) -> Form | None:
    """Return `form`^`exponent`, which `node` computes."""
    if isinstance(form, Term):
        raised = terms.power(form, exponent)
        return blends.inverse(form) if raised is None and _is_shifted(form, exponent) else raised
    if exponent == -1 and isinstance(form, Blend):
        return blends.inverse(form)
    if exponent == -1 and isinstance(form, Inverse):
        return form.of
    if exponent == -1 and isinstance(form, Gate):
        return gates.reciprocal(form, node)
    return form if isinstance(form, Flawed) else None


def _is_shifted(term: Term, exponent: Fraction) -> bool:
    """Tell whether 1 / `term` is that of an energy and a summand, as e* is."""
    return exponent == -1 and term.is_simam


def squared(form: Form | None, value: ir.Value) -> Form | None:
    """Return the square of `form`, that of `value`, where it is no term."""
    if isinstance(form, Absolute):
        return terms.product(form.term, form.term)
    if isinstance(form, Average):
        return moments.mean_squared(form)
    if isinstance(form, Map):
        return Square(form.root, value, form.factor.power(Fraction(2)))
    return None

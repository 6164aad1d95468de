"""Operators that compute element by element."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import onnx_ir as ir

from simam_deploy.graph.recognise import blends, gates, moments, terms
from simam_deploy.graph.recognise.forms import (
    Absolute,
    Average,
    Blend,
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
from simam_deploy.graph.recognise.interval import ONE, Interval
from simam_deploy.graph.recognise.scene import Scene
from simam_deploy.graph.types import precision_name

_EXPONENTS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0)
_MINUS_ONE = Interval.exactly(-1.0)

Operand = Form | Interval | None


def add(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a + b."""
    return _sum(node, (a, b), _operand(a, scene), _operand(b, scene), scene)


def sub(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a - b."""
    left, right = _operand(a, scene), _operand(b, scene)
    if isinstance(right, Map):
        # A map has no sign to turn: a - x is -(x - a).
        form = _negated(_sum(node, (b, a), right, _negated(left, node), scene), node)
        return None if isinstance(form, Interval) else form
    return _sum(node, (a, b), left, _negated(right, node), scene)


def mul(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a * b."""
    left, right = _operand(a, scene), _operand(b, scene)
    for gate, factor in ((left, right), (right, left)):
        if isinstance(gate, Gate):
            return _times(node, gate, factor)
    if a is b and isinstance(left, Absolute | Average | Map):
        return _squared(left, node.outputs[0])
    return _product(node, (a, b), left, right, scene)


def div(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a / b."""
    left, right = _operand(a, scene), _operand(b, scene)
    if isinstance(right, Gate):
        return _over_gate(node, left, right)
    if isinstance(right, Interval):
        if isinstance(left, Term) and (right.low <= 0 <= right.high or not right.finite):
            return _broken(left, right, b, scene)
        right = right.power(Fraction(-1))
    elif isinstance(right, Term | Blend | Inverse):
        right = _power(right, Fraction(-1), node)
    elif not isinstance(right, Flawed):
        return _over_unknown(left)
    if isinstance(left, Gate):
        return _times(node, left, right)
    return _product(node, (a, b), left, right, scene)


def pow_(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a ** b."""
    base, exponent = scene.form(a), scene.interval(b)
    if exponent is None or exponent.middle not in _EXPONENTS:
        return None
    if exponent.middle == 2.0 and not isinstance(base, Term | Flawed):
        return _squared(base, node.outputs[0])
    return _power(base, Fraction(exponent.middle), node)


def neg(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read -a."""
    form = _negated(scene.form(value), node)
    return None if isinstance(form, Interval) else form


def sqrt(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read the square root of a."""
    return _power(scene.form(value), Fraction(1, 2), node)


def reciprocal(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read 1 / a."""
    return _power(scene.form(value), Fraction(-1), node)


def activation(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read an activation of an energy: d to some power over the variance to some power."""
    energy = scene.form(value)
    if isinstance(energy, Gate):
        return gates.activated_again(node, energy)
    if isinstance(energy, Inverse):
        energy = Flawed(energy.root, "e* itself instead of 1 / e*")
    if isinstance(energy, Term | Flawed) and energy.is_energy:
        return gates.activated(node, energy)
    return None


def _operand(value: ir.Value, scene: Scene) -> Operand:
    """Return the constant that `value` is, else its form."""
    return scene.interval(value) or scene.form(value)


def _negated(operand: Operand, node: ir.Node) -> Operand:
    if isinstance(operand, Interval):
        return -operand
    if isinstance(operand, Flawed | Rest):
        return operand
    if isinstance(operand, Gate):
        return gates.scaled(operand, _MINUS_ONE, node)
    return _multiple(operand, _MINUS_ONE)


def _multiple(form: Form | None, factor: Interval) -> Form | None:
    """Return `form` * `factor`, None where it has no multiple, as a map."""
    if isinstance(form, Average):
        return replace(form, share=form.share * factor)
    if isinstance(form, Term | Blend):
        return blends.scaled(form, factor)
    if isinstance(form, Moment):
        return moments.scale(form, factor)
    return blends.times(form, factor) if isinstance(form, Inverse) else None


def _power(form: Form | None, exponent: Fraction, node: ir.Node) -> Form | None:
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


def _squared(form: Form | None, value: ir.Value) -> Form | None:
    """Return the square of `form`, that of `value`, where it is no term."""
    if isinstance(form, Absolute):
        return terms.product(form.term, form.term)
    if isinstance(form, Average):
        return moments.mean_squared(form)
    if isinstance(form, Map):
        return Square(form.root, value, form.factor.power(Fraction(2)))
    return None


def _times(node: ir.Node, gate: Gate, factor: Operand) -> Form | None:
    """Read a gate times `factor`: times its own energy, a sigmoid is a SiLU."""
    if isinstance(factor, Interval):
        return gates.scaled(gate, factor, node)
    if isinstance(factor, Gate):
        return None
    itself = factor == gate.energy and gate.activation == "sigmoid"
    return replace(gate, activation="silu") if itself else None


def _over_gate(node: ir.Node, left: Operand, gate: Gate) -> Form | None:
    """Read `left` over a gate, of which exp(e) / (1 + exp(e)) and its like are gates again."""
    if isinstance(left, Gate):
        return gates.quotient(left, gate, node)
    inverted = gates.reciprocal(gate, node)
    if inverted is None or left == ONE:
        return inverted
    return _times(node, inverted, left)


def _sum(
    node: ir.Node, values: tuple[ir.Value, ir.Value], a: Operand, b: Operand, scene: Scene
) -> Form | None:
    """Return the form of the sum of the operands `a` and `b`, which belong to `values`."""
    if isinstance(a, Term | Blend | Moment) and isinstance(b, Term | Blend | Moment):
        return _sum_of_alike(a, b) if a.root is not b.root or scene.aligned(*values) else None
    for one, other, value in ((a, b, values[0]), (b, a, values[1])):
        if isinstance(one, Flawed):
            return terms.joined(one, other)
        if isinstance(one, Square) and isinstance(other, Moment):
            return _centred_square(one, other) if scene.aligned(*values) else None
        if isinstance(one, Map) and isinstance(other, Average):
            return _centred(one, other) if scene.aligned(*values) else None
        if isinstance(one, Term) and isinstance(other, Rest):
            return terms.without(one, other) if scene.aligned(*values) else None
        if isinstance(one, Gate) and isinstance(other, Interval):
            return gates.shifted(one, other, node)
        if isinstance(one, Term | Blend) and isinstance(other, Interval):
            return _shifted(one, other) if _keeps_shape(node, value, scene) else None
        if isinstance(one, Term) and isinstance(other, Map):
            return _unknown_summand(one)
    return None


def _sum_of_alike(a: Term | Blend | Moment, b: Term | Blend | Moment) -> Form | None:
    if isinstance(a, Moment) and isinstance(b, Moment):
        return moments.added(a, b)
    if isinstance(a, Term) and isinstance(b, Term):
        return blends.blended(a, b) or terms.added(a, b)
    for blend, plane in ((a, b), (b, a)):
        if isinstance(blend, Blend) and isinstance(plane, Term):
            return blends.added(blend, plane)
    return None


def _shifted(form: Term | Blend, summand: Interval) -> Form:
    return terms.shift(form, summand) if isinstance(form, Term) else blends.shift(form, summand)


def _centred_square(square: Square, moment: Moment) -> Form | None:
    """Return x^2 less its mean, where x^2 is a map of its own."""
    average = moments.as_average(moment)
    return _centred(Map(square.value), average) if average else None


def _product(
    node: ir.Node, values: tuple[ir.Value, ir.Value], a: Operand, b: Operand, scene: Scene
) -> Form | None:
    """Return the form of the product of the operands `a` and `b`, which belong to `values`."""
    if isinstance(a, Term | Blend | Inverse) and isinstance(b, Term | Blend | Inverse):
        return _product_of_alike(a, b) if a.root is not b.root or scene.aligned(*values) else None
    for one, other, (value, factor) in ((a, b, values), (b, a, values[::-1])):
        if isinstance(one, Flawed):
            return terms.joined(one, other)
        if isinstance(other, Interval) and isinstance(
            one, Term | Average | Blend | Inverse | Moment
        ):
            return _scaled(one, other, factor, scene) if _keeps_shape(node, value, scene) else None
        if isinstance(one, Map) and isinstance(other, Interval):
            return _scaled_map(node, one, other, value, scene)
        if isinstance(one, Term) and isinstance(other, Map):
            return _over_unknown(one)
    return None


def _over_unknown(form: Operand) -> Flawed | None:
    """Return why `form` over, or times, another tensor is no part of SimAM."""
    if isinstance(form, Term) and form.is_plane:
        reason = "n could not be proved: it is no function of H and W"
        return Flawed(form.root, reason, is_energy=False)
    if isinstance(form, Term) and form.power == 2 and form.plane is None:
        return Flawed(form.root, "d^2 is not divided by a variance of x")
    return None


def _product_of_alike(a: Term | Blend | Inverse, b: Term | Blend | Inverse) -> Form | None:
    if isinstance(a, Term) and isinstance(b, Term):
        return terms.product(a, b)
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Blend) and isinstance(other, Term):
            return blends.product(one, other)
        if isinstance(one, Inverse) and isinstance(other, Term):
            return blends.times(one, other)
    return None


def _centred(feature_map: Map, average: Average) -> Form | None:
    """Return d = x - mean(x), where the sum of `feature_map` and `average` is that."""
    mean = average.share * Interval.exactly(average.count) / feature_map.factor
    if feature_map.root is not average.root or not mean.contains(-1.0):
        return None
    return Term(average.root, average.axes, gain=feature_map.factor)


def _scaled(form: Form, factor: Interval, value: ir.Value, scene: Scene) -> Form | None:
    if isinstance(form, Term) and not factor.finite:
        return _broken(form, factor, value, scene)
    return _multiple(form, factor)


def _scaled_map(
    node: ir.Node, form: Map, factor: Interval, value: ir.Value, scene: Scene
) -> Form | None:
    """Return a flattened map times a number; a map of (N, C, H, W) that is scaled is a new one."""
    flattened = scene.shape(value) != scene.shape(form.root)
    usable = factor.finite and not factor.low <= 0 <= factor.high
    if not flattened or not usable or not _keeps_shape(node, value, scene):
        return None
    return replace(form, factor=form.factor * factor)


def _broken(term: Term, n: Interval, value: ir.Value, scene: Scene) -> Form:
    """Report a constant, `value`, that no variance can be scaled with."""
    dtype = scene.facts.dtype(value)
    return Flawed(term.root, f"{precision_name(dtype)}: n = {n.middle:g}, broken")


def _unknown_summand(term: Term) -> Form | None:
    if term.is_plane:
        return Flawed(term.root, "lambda is not one constant", is_energy=False)
    if term.is_simam:
        return Flawed(term.root, "the summand of the energy is not the constant +0.5")
    return None


def _keeps_shape(node: ir.Node, value: ir.Value, scene: Scene) -> bool:
    """Tell whether `node` leaves the shape of `value` as it is: a constant may broadcast it."""
    return scene.shape(node.outputs[0]) == scene.shape(value)

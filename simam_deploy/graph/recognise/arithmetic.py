"""Operators that compute element by element."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import onnx_ir as ir

from simam_deploy.graph.recognise import forms
from simam_deploy.graph.recognise.forms import Average, Flawed, Form, Gate, Map, Rest, Term
from simam_deploy.graph.recognise.interval import Interval
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
        form = _negated(_sum(node, (b, a), right, _negated(left), scene))
        return None if isinstance(form, Interval) else form
    return _sum(node, (a, b), left, _negated(right), scene)


def mul(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a * b."""
    left, right = _operand(a, scene), _operand(b, scene)
    for gate, factor, value in ((left, right, b), (right, left, a)):
        if isinstance(gate, Gate):
            itself = gate.node.inputs[0] is value and gate.activation == "sigmoid"
            return replace(gate, activation="silu") if itself and isinstance(factor, Term) else None
    return _product(node, (a, b), left, right, scene)


def div(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a / b."""
    left, right = _operand(a, scene), _operand(b, scene)
    if isinstance(right, Interval):
        if isinstance(left, Term) and (right.low <= 0 <= right.high or not right.finite):
            return _broken(left, right, b, scene)
        right = right.power(Fraction(-1))
    elif isinstance(right, Term):
        right = forms.power(right, Fraction(-1))
    return _product(node, (a, b), left, right, scene)


def pow_(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a ** b."""
    base, exponent = scene.form(a), scene.interval(b)
    if exponent is None or exponent.middle not in _EXPONENTS:
        return None
    return _power(base, Fraction(exponent.middle))


def neg(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read -a."""
    form = _negated(scene.form(value))
    return None if isinstance(form, Interval) else form


def sqrt(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read the square root of a."""
    return _power(scene.form(value), Fraction(1, 2))


def reciprocal(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read 1 / a."""
    return _power(scene.form(value), Fraction(-1))


def activation(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read an activation of an energy: d to some power over the variance to some power."""
    energy = scene.form(value)
    if isinstance(energy, Term | Flawed) and energy.is_energy:
        return Gate(energy.root, energy, node.op_type.lower(), node)
    return None


def _operand(value: ir.Value, scene: Scene) -> Operand:
    """Return the constant that `value` is, else its form."""
    return scene.interval(value) or scene.form(value)


def _negated(operand: Operand) -> Operand:
    if isinstance(operand, Interval):
        return -operand
    if isinstance(operand, Average):
        return replace(operand, share=-operand.share)
    if isinstance(operand, Term):
        return forms.scale(operand, _MINUS_ONE)
    return operand if isinstance(operand, Flawed | Rest) else None


def _power(form: Form | None, exponent: Fraction) -> Form | None:
    if isinstance(form, Term):
        return forms.power(form, exponent)
    return form if isinstance(form, Flawed) else None


def _sum(
    node: ir.Node, values: tuple[ir.Value, ir.Value], a: Operand, b: Operand, scene: Scene
) -> Form | None:
    """Return the form of the sum of the operands `a` and `b`, which belong to `values`."""
    for one, other, value in ((a, b, values[0]), (b, a, values[1])):
        if isinstance(one, Flawed):
            return forms.joined(one, other)
        if isinstance(one, Map) and isinstance(other, Average):
            return _centred(one, other) if scene.aligned(*values) else None
        if isinstance(one, Term) and isinstance(other, Rest):
            return forms.without(one, other) if scene.aligned(*values) else None
        if isinstance(one, Term) and isinstance(other, Interval):
            return forms.shift(one, other) if _keeps_shape(node, value, scene) else None
        if isinstance(one, Term) and isinstance(other, Map):
            return _unknown_summand(one)
    return None


def _product(
    node: ir.Node, values: tuple[ir.Value, ir.Value], a: Operand, b: Operand, scene: Scene
) -> Form | None:
    """Return the form of the product of the operands `a` and `b`, which belong to `values`."""
    if isinstance(a, Term) and isinstance(b, Term):
        return forms.product(a, b) if a.root is not b.root or scene.aligned(*values) else None
    for one, other, (value, factor) in ((a, b, values), (b, a, values[::-1])):
        if isinstance(one, Flawed):
            return forms.joined(one, other)
        if isinstance(other, Interval) and isinstance(one, Term | Average):
            return _scaled(one, other, factor, scene) if _keeps_shape(node, value, scene) else None
        if isinstance(one, Map) and isinstance(other, Interval):
            return _scaled_map(node, one, other, value, scene)
        if isinstance(one, Term) and one.is_plane and isinstance(other, Map):
            reason = "n could not be proved: it is no function of H and W"
            return Flawed(one.root, reason, is_energy=False)
    return None


def _centred(feature_map: Map, average: Average) -> Form | None:
    """Return d = x - mean(x), where the sum of `feature_map` and `average` is that."""
    mean = average.share * Interval.exactly(average.count) / feature_map.factor
    if feature_map.root is not average.root or not mean.contains(-1.0):
        return None
    return Term(average.root, average.axes, gain=feature_map.factor)


def _scaled(form: Term | Average, factor: Interval, value: ir.Value, scene: Scene) -> Form:
    if isinstance(form, Average):
        return replace(form, share=form.share * factor)
    return forms.scale(form, factor) if factor.finite else _broken(form, factor, value, scene)


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

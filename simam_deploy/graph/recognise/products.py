"""Operators that multiply, and those of a single operand: powers and activations."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import onnx_ir as ir

from simam_deploy.graph.recognise import blends, expansions, gates, terms
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
    Term,
)
from simam_deploy.graph.recognise.interval import ONE, Interval
from simam_deploy.graph.recognise.operands import (
    Operand,
    joined,
    keeps_shape,
    multiple,
    operand,
    power_of,
    squared,
)
from simam_deploy.graph.recognise.scene import Scene
from simam_deploy.graph.types import precision_name

_EXPONENTS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0)


def mul(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a * b."""
    left, right = operand(a, scene), operand(b, scene)
    for gate, factor in ((left, right), (right, left)):
        if isinstance(gate, Gate):
            return _times(node, gate, factor)
    if a is b and isinstance(left, Absolute | Average | Map):
        return squared(left, node.outputs[0])
    return _product(node, (a, b), left, right, scene)


def div(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a / b."""
    left, right = operand(a, scene), operand(b, scene)
    if isinstance(right, Gate):
        return _over_gate(node, left, right)
    if isinstance(right, Interval):
        if isinstance(left, Term) and (right.low <= 0 <= right.high or not right.finite):
            return _broken(left, right, b, scene)
        right = right.power(Fraction(-1))
    elif isinstance(right, Term | Blend | Inverse):
        right = power_of(right, Fraction(-1), node)
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
        return squared(base, node.outputs[0])
    return power_of(base, Fraction(exponent.middle), node)


def sqrt(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read the square root of a."""
    return power_of(scene.form(value), Fraction(1, 2), node)


def reciprocal(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read 1 / a."""
    return power_of(scene.form(value), Fraction(-1), node)


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


def _product(
    node: ir.Node, values: tuple[ir.Value, ir.Value], a: Operand, b: Operand, scene: Scene
) -> Form | None:
    """Return the form of the product of the operands `a` and `b`, which belong to `values`."""
    if isinstance(a, Term | Blend | Inverse) and isinstance(b, Term | Blend | Inverse):
        return _product_of_alike(a, b) if a.root is not b.root or scene.aligned(*values) else None
    for one, other, (value, factor) in ((a, b, values), (b, a, values[::-1])):
        if isinstance(one, Flawed):
            return joined(node, one, other, value, scene)
        if isinstance(other, Interval) and isinstance(
            one, Term | Average | Blend | Inverse | Moment | Expansion
        ):
            return _scaled(one, other, factor, scene) if keeps_shape(node, value, scene) else None
        if isinstance(one, Map) and isinstance(other, Average):
            return expansions.mixed(value, other, scene) if scene.aligned(*values) else None
        if isinstance(one, Map) and isinstance(other, Interval):
            return _scaled_map(node, one, other, value, scene)
        if isinstance(one, Term) and isinstance(other, Map):
            return _over_unknown(one)
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


def _over_unknown(form: Operand) -> Flawed | None:
    """Return why `form` over, or times, another tensor is no part of SimAM."""
    if isinstance(form, Term) and form.is_plane:
        reason = "n could not be proved: it is no function of H and W"
        return Flawed(form.root, reason, is_energy=False)
    if isinstance(form, Term) and form.power == 2 and form.plane is None:
        return Flawed(form.root, "d^2 is not divided by a variance of x")
    return None


def _scaled(form: Form, factor: Interval, value: ir.Value, scene: Scene) -> Form | None:
    if isinstance(form, Term) and not factor.finite:
        return _broken(form, factor, value, scene)
    return multiple(form, factor)


def _scaled_map(
    node: ir.Node, form: Map, factor: Interval, value: ir.Value, scene: Scene
) -> Form | None:
    """Return a flattened map times a number; a map of (N, C, H, W) that is scaled is a new one."""
    flattened = scene.shape(value) != scene.shape(form.root)
    usable = factor.finite and not factor.low <= 0 <= factor.high
    if not flattened or not usable or not keeps_shape(node, value, scene):
        return None
    return replace(form, factor=form.factor * factor)


def _broken(term: Term, n: Interval, value: ir.Value, scene: Scene) -> Form:
    """Report a constant, `value`, that no variance can be scaled with."""
    dtype = scene.facts.dtype(value)
    return Flawed(term.root, f"{precision_name(dtype)}: n = {n.middle:g}, broken")

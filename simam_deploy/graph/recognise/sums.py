"""Operators that add: the parts of d, of the variance and of the energy."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.recognise import blends, expansions, gates, moments, terms
from simam_deploy.graph.recognise.forms import (
    Average,
    Blend,
    Expansion,
    Flawed,
    Form,
    Gate,
    Map,
    Moment,
    Rest,
    Square,
    Term,
)
from simam_deploy.graph.recognise.interval import Interval
from simam_deploy.graph.recognise.operands import Operand, joined, keeps_shape, negated, operand
from simam_deploy.graph.recognise.scene import Scene


def add(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a + b."""
    return _sum(node, (a, b), operand(a, scene), operand(b, scene), scene)


def sub(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read a - b."""
    left, right = operand(a, scene), operand(b, scene)
    if isinstance(right, Map):
        # A map has no sign to turn: a - x is -(x - a).
        form = negated(_sum(node, (b, a), right, negated(left, node), scene), node)
        return None if isinstance(form, Interval) else form
    return _sum(node, (a, b), left, negated(right, node), scene)


def neg(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read -a."""
    form = negated(scene.form(value), node)
    return None if isinstance(form, Interval) else form


def _sum(
    node: ir.Node, values: tuple[ir.Value, ir.Value], a: Operand, b: Operand, scene: Scene
) -> Form | None:
    """Return the form of the sum of the operands `a` and `b`, which belong to `values`."""
    if isinstance(a, Term | Blend | Moment) and isinstance(b, Term | Blend | Moment):
        return _sum_of_alike(a, b) if a.root is not b.root or scene.aligned(*values) else None
    for one, other, value in ((a, b, values[0]), (b, a, values[1])):
        if isinstance(one, Flawed):
            return joined(node, one, other, value, scene)
        if isinstance(one, Square) and isinstance(other, Moment):
            if not scene.aligned(*values):
                return None
            return _centred_square(one, other) or expansions.added(one, other)
        if isinstance(one, Expansion) and isinstance(other, Square | Moment | Expansion):
            return expansions.added(one, other) if scene.aligned(*values) else None
        if isinstance(one, Map) and isinstance(other, Average):
            return _centred(one, other) if scene.aligned(*values) else None
        if isinstance(one, Term) and isinstance(other, Rest):
            return terms.without(one, other) if scene.aligned(*values) else None
        if isinstance(one, Gate) and isinstance(other, Interval):
            return gates.shifted(one, other, node)
        if isinstance(one, Term | Blend) and isinstance(other, Interval):
            return _shifted(one, other) if keeps_shape(node, value, scene) else None
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


def _centred(feature_map: Map, average: Average) -> Form | None:
    """Return d = x - mean(x), where the sum of `feature_map` and `average` is that."""
    mean = average.share * Interval.exactly(average.count) / feature_map.factor
    if feature_map.root is not average.root or not mean.contains(-1.0):
        return None
    return Term(average.root, average.axes, gain=feature_map.factor)


def _unknown_summand(term: Term) -> Form | None:
    if term.is_plane:
        return Flawed(term.root, "lambda is not one constant", is_energy=False)
    if term.is_simam:
        return Flawed(term.root, "the summand of the energy is not the constant +0.5")
    return None

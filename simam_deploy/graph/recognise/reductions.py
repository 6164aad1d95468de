"""Operators that reduce: means, sums, and the normalisation that does both."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TypeGuard

import onnx_ir as ir

from simam_deploy.graph.recognise import moments, terms
from simam_deploy.graph.recognise.forms import (
    Average,
    Axes,
    Expansion,
    Flawed,
    Form,
    Map,
    Moment,
    Plane,
    Rest,
    Square,
    Term,
)
from simam_deploy.graph.recognise.interval import ONE, ZERO, Interval
from simam_deploy.graph.recognise.layout import Shape, reduced
from simam_deploy.graph.recognise.scene import Scene, plane_axes


def reduce_mean(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read ReduceMean."""
    return _reduce(value, scene.form(value), _dims(node, value, scene), scene, mean=True)


def reduce_sum(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read ReduceSum."""
    return _reduce(value, scene.form(value), _dims(node, value, scene), scene, mean=False)


def reduce_sum_square(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read ReduceSumSquare."""
    squared = _squared(scene.form(value), node.outputs[0])
    return _reduce(value, squared, _dims(node, value, scene), scene, mean=False)


def einsum(node: ir.Node, a: ir.Value, b: ir.Value, scene: Scene) -> Form | None:
    """Read Einsum of d and d, which sums their product over what its output leaves out."""
    first, second = scene.form(a), scene.form(b)
    dims = _left_out(node.attributes.get_string("equation", ""), len(scene.shape(a)))
    if dims is None or not scene.aligned(a, b):
        return None
    squared = isinstance(first, Term) and isinstance(second, Term) and terms.product(first, second)
    return _reduce(a, squared or None, dims, scene, mean=False)


def _left_out(equation: str, rank: int) -> Axes | None:
    """Return what "nchw,nchw->nc" sums over; None of two operands that do not meet one by one."""
    text = equation.replace(" ", "")
    operand = text.partition(",")[0]
    text = text.replace("...", "".join(map(chr, range(256, 259 + rank - len(operand)))))
    operands, _, kept = text.partition("->")
    first, _, second = operands.partition(",")
    in_order = [letter for letter in first if letter in kept] == list(kept)
    if first != second or not in_order or not len(first) == len(set(first)) == rank:
        return None
    return Axes(axis for axis, letter in enumerate(first) if letter not in kept)


def reduce_l2(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read ReduceL2, the root of a sum of squares."""
    form = scene.form(value)
    squared = terms.product(form, form) if isinstance(form, Term) else None
    total = _reduce(value, squared, _dims(node, value, scene), scene, mean=False)
    return terms.power(total, Fraction(1, 2)) if isinstance(total, Term) else total


def global_average(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read GlobalAveragePool: the mean over all but N and C."""
    dims = Axes(range(2, len(scene.shape(value))))
    return _reduce(value, scene.form(value), dims, scene, mean=True)


def average_pool(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read AveragePool of windows as large as the map."""
    window = tuple(node.attributes.get_ints("kernel_shape", ()))
    whole = window == scene.shape(value)[2:] and not any(node.attributes.get_ints("pads", ()))
    return global_average(node, value, scene) if whole else None


def instance_norm(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read InstanceNormalization, which normalises each plane, if it is alike for all C."""
    return _normalised(node, value, scene, first=2)


def layer_norm(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read LayerNormalization, from its axis on, if it is alike for all elements."""
    rank, axis = len(scene.shape(value)), node.attributes.get_int("axis", -1)
    return _normalised(node, value, scene, axis % rank) if rank else None


def _normalised(node: ir.Node, value: ir.Value, scene: Scene, first: int) -> Form | None:
    """Read scale * d / sqrt(S / count + epsilon) + bias, over the dimensions from `first` on.

    It is read of x, and of d as well, whose mean is zero.
    """
    form = scene.form(value)
    parameters = [ZERO if v is None else scene.interval(v) for v in node.inputs[1:3]]
    factor, summand = (*parameters, ZERO, ZERO)[:2]
    if not _is_map_or_difference(form) or factor is None or summand is None:
        return None
    shape, root = scene.shape(value), scene.shape(form.root)
    axes = reduced(root, shape, range(first, len(shape)))
    count = math.prod(root[axis] for axis in axes or ())
    if not axes or count == 0:
        return None
    if isinstance(form, Term) and form.mean_axes != axes:
        return None
    epsilon = Interval.of_float32(node.attributes.get_float("epsilon", 1e-5))
    plane = Plane(Interval.exactly(1 / count), epsilon, axes, "instance-norm")
    term = Term(form.root, axes, plane=plane, order=Fraction(-1, 2))
    return terms.shift(terms.scale(term, factor), summand)


def _squared(form: Form | None, value: ir.Value) -> Form | None:
    if isinstance(form, Map):
        return Square(form.root, value, form.factor.power(Fraction(2)))
    return terms.product(form, form) if isinstance(form, Term) else None


def _is_map_or_difference(form: Form | None) -> TypeGuard[Map | Term]:
    """Tell whether `form` is x or d itself, and no multiple."""
    if isinstance(form, Term):
        return form.is_difference and form.gain == ONE
    return isinstance(form, Map) and form.factor == ONE


def _dims(node: ir.Node, value: ir.Value, scene: Scene) -> Axes | None:
    """Return the dimensions of `value` that a Reduce operator reduces, None if unknown."""
    rank = len(scene.shape(value))
    axes = node.attributes.get_ints("axes", ())
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        constant = scene.facts.constant(node.inputs[1])
        if constant is None:
            return None
        axes = [int(axis) for axis in constant.array.flat]
    if not axes:
        return None if node.attributes.get_int("noop_with_empty_axes", 0) else Axes(range(rank))
    if any(not -rank <= axis < rank for axis in axes):
        return None
    return Axes(axis % rank for axis in axes)


def _reduce(
    value: ir.Value, form: Form | None, dims: Axes | None, scene: Scene, mean: bool
) -> Form | None:
    """Return the sum or mean of `form`, that of `value`, over `dims` of `value`."""
    form = _as_reduced(value, form, scene)
    if isinstance(form, Flawed):
        return form
    if dims is None or not isinstance(form, Map | Average | Rest | Term | Square | Moment):
        return None
    shape, left = scene.shape(value), _left(form, scene)
    axes = reduced(left, shape, dims)
    count = math.prod(left[axis] for axis in axes or ())
    if not axes or count == 0:
        return None
    share = Interval.exactly(1 / count) if mean else ONE
    if isinstance(form, Map):
        return Average(form.root, axes, count, form.factor * share)
    if isinstance(form, Square):
        return moments.total(form, axes, count, share)
    if isinstance(form, Moment):
        return moments.further(form, axes, count, share)
    if isinstance(form, Average):
        return Average(form.root, form.axes | axes, form.count * count, form.share * share)
    if isinstance(form, Rest):
        return replace(form, axes=form.axes | axes) if mean else None
    name = "flattened" if len(shape) < len(left) else "var" if mean else "reduce-sum"
    return terms.total(form, axes, count, mean, name)


def _as_reduced(value: ir.Value, form: Form | None, scene: Scene) -> Form | None:
    """Return `form`, or the map that `value` is of its own where SimAM reduces no such form.

    A normalised map may be the feature map of a SimAM behind it, and so may what failed to be one.
    """
    normalised = isinstance(form, Term) and form.power == 1 and form.order != 0
    sizes = [math.prod(scene.shape(v)) for v in (value, form.root)] if form else []
    flawed = isinstance(form, Flawed) and len(set(sizes)) == 1
    return Map(value) if normalised or flawed or isinstance(form, Expansion) else form


def _left(form: Form, scene: Scene) -> Shape:
    """Return the shape of the feature map, 1 along the axes that `form` is reduced over already."""
    done = plane_axes(form)
    return tuple(1 if axis in done else d for axis, d in enumerate(scene.shape(form.root)))

"""What has been read of a graph so far: the forms of its values, on top of the facts."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from simam_deploy.graph.recognise.facts import Dims, Facts
from simam_deploy.graph.recognise.forms import Average, Axes, Form, Map, Moment, Rest, Term
from simam_deploy.graph.recognise.interval import Interval
from simam_deploy.graph.recognise.layout import spreads

_COPIES = ("Expand", "Identity", "Reshape", "Squeeze", "Unsqueeze")
"""What repeats one number, or leaves it: a constant of a map's shape is no small one."""
_MOST_COPIES = 4


@dataclass(frozen=True)
class Copies:
    """What a value holds that is a row several times over: `form`, of the shape `shape`."""

    form: Form
    shape: Dims


class Scene:
    """The forms of one reading, in `forms` where they are more than a map of their own.

    Args:
        facts: Shapes and small values.
        shapes: Of values that are read as if they were of another shape.
    """

    def __init__(self, facts: Facts, shapes: Mapping[ir.Value, Dims] | None = None) -> None:
        self.facts = facts
        self.forms: MutableMapping[ir.Value, Form] = {}
        self.copies: dict[ir.Value, Copies] = {}
        self._shapes = dict(shapes or {})

    def where_maps_are_met(self, a: ir.Value, b: ir.Value) -> Scene:
        """Return the scene in which each of two operands is a map if the other is computed of it.

        What is read as part of one SimAM may also be the feature map of the next.
        """
        forms = self.form(a), self.form(b)
        maps = [v for v, of in ((a, forms[1]), (b, forms[0])) if of is not None and of.root is v]
        if not any(value in self.forms for value in maps):
            return self
        return self._with({value: Map(value) for value in maps}, self._shapes)

    def of_one(self, copies: Sequence[ir.Value], output: ir.Value | None) -> Scene:
        """Return the scene in which each of `copies` is one, and `output` has a copy's shape."""
        known = {value: self.copies[value] for value in copies}
        shapes = {value: each.shape for value, each in known.items()}
        if output is not None:
            shapes[output] = shapes[copies[0]]
        return self._with({value: each.form for value, each in known.items()}, shapes)

    def _with(self, forms: dict[ir.Value, Form], shapes: Mapping[ir.Value, Dims]) -> Scene:
        scene = Scene(self.facts, shapes)
        scene.forms = ChainMap(forms, self.forms)
        return scene

    def form(self, value: ir.Value) -> Form | None:
        """Return the form of `value`, None if it is not of a floating type."""
        if value in self.forms:
            return self.forms[value]
        return Map(value) if self.facts.dtype(value).is_floating_point() else None

    def interval(self, value: ir.Value) -> Interval | None:
        """Return the constant that `value` is, None if it is not one number throughout."""
        for _ in range(_MOST_COPIES):
            constant = self.facts.constant(value)
            if constant is not None:
                return constant.interval()
            node = value.producer()
            source = node.inputs[0] if node and node.op_type in _COPIES and node.inputs else None
            if node is None or source is None or not self.facts.is_valid(node):
                return None
            value = source
        return None

    def shape(self, value: ir.Value) -> Dims:
        """Return the shape of `value`, a tensor."""
        return self._shapes.get(value) or self.facts.shape(value) or ()

    def aligned(self, a: ir.Value, b: ir.Value) -> bool:
        """Tell whether a binary operator meets each element of one with its own of the other.

        Both have forms of the same root.
        """
        first, second = self.form(a), self.form(b)
        if first is None or second is None:
            return False
        if bool(plane_axes(first)) == bool(plane_axes(second)):
            return self.shape(a) == self.shape(b)
        pixel, plane, form = (b, a, first) if plane_axes(first) else (a, b, second)
        root = self.shape(form.root)
        return spreads(root, self.shape(pixel), self.shape(plane), plane_axes(form))


def plane_axes(form: Form) -> Axes:
    """Return the axes over which `form` is constant; none if it has a number a pixel."""
    if isinstance(form, Average | Rest | Moment):
        return form.axes
    if isinstance(form, Term) and form.power == 0 and form.plane:
        return form.plane.axes
    return Axes()

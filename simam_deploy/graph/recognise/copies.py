"""Rows that stand several times behind themselves, as `lower/wide.py` reduces them.

    (R, P)  ->  (R, 1, P)  ->  Expand (R, k, P)  ->  (R, k*P)

What is computed of each number alone is the same of every copy, and the mean of k copies is the
mean of one. No copy is ever part of y, so nothing else is read of them: to every other rule they
are a map of their own.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from simam_deploy.graph.recognise.forms import Form, Map
from simam_deploy.graph.recognise.scene import Copies, Scene, plane_axes

_OF_EACH = ("Add", "Cast", "Div", "Mul", "Pow", "Sub")
_MEAN = "ReduceMean"
Read = Callable[[ir.Node, Scene], Form | None]


def read_copies(node: ir.Node, scene: Scene, read: Read) -> Form | None:
    """Read a mean of copies; of what makes copies, or is computed of them, take note.

    Args:
        node: A valid node.
        scene: What has been read.
        read: Reads a node that knows of no copies.

    Returns:
        The mean's form, None of all else.
    """
    output = node.outputs[0]
    made = _made(node, scene)
    if made is not None:
        scene.copies[output] = made
    of = [value for value in node.inputs if value in scene.copies]
    if not of or node.op_type not in (*_OF_EACH, _MEAN):
        return None
    each = node.op_type in _OF_EACH and scene.shape(output) == scene.shape(of[0])
    form = read(node, scene.of_one(of, output if each else None))
    if form is None or each == bool(plane_axes(form)):
        return None
    if not each:
        return form
    scene.copies[output] = Copies(form, scene.copies[of[0]].shape)
    return None


def _made(node: ir.Node, scene: Scene) -> Copies | None:
    """Give what a Reshape of an Expand holds copies of, None if it does not."""
    expanded = node.inputs[0] if node.op_type == "Reshape" else None
    before = expanded.producer() if expanded is not None else None
    if expanded is None or before is None or before.op_type != "Expand":
        return None
    source = before.inputs[0]
    if source is None or not scene.facts.is_valid(before):
        return None
    one, many, row = (scene.shape(v) for v in (source, expanded, node.outputs[0]))
    form = scene.form(source)
    apart = len(one) == len(many) == 3 and (one[0], 1, one[2]) == one
    if not apart or many != (one[0], many[1], one[2]) or row != (one[0], many[1] * one[2]):
        return None
    return Copies(form, (one[0], one[2])) if isinstance(form, Map) else None

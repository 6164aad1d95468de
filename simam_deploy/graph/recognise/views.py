"""Operators that keep the numbers: casts and changes of shape."""

from __future__ import annotations

import math

import onnx_ir as ir

from simam_deploy.graph.recognise import gates
from simam_deploy.graph.recognise.forms import Flawed, Form, Gate, Map, NotFinite
from simam_deploy.graph.recognise.interval import ONE
from simam_deploy.graph.recognise.layout import layout
from simam_deploy.graph.recognise.planes import order_of
from simam_deploy.graph.recognise.scene import Scene, plane_axes


def cast(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read Cast, CastLike or Identity: the same numbers, perhaps rounded."""
    form = scene.form(value)
    floating = scene.facts.dtype(node.outputs[0]).is_floating_point()
    return form if floating or isinstance(form, NotFinite) else None


def dropout(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read Dropout, which keeps the numbers unless it is in training mode."""
    training = node.inputs[2] if len(node.inputs) > 2 else None
    mode = None if training is None else scene.facts.constant(training)
    off = training is None or (mode is not None and not mode.array.any())
    return scene.form(value) if off else None


def reshape(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read Reshape, Flatten, Squeeze or Unsqueeze: the same numbers in the same order."""
    form = scene.form(value)
    if form is None or isinstance(form, Flawed):
        return form
    before, after = scene.shape(value), scene.shape(node.outputs[0])
    root = scene.shape(form.root)
    axes = plane_axes(form)
    if axes:
        planes = math.prod(size for axis, size in enumerate(root) if axis not in axes)
        return form if math.prod(before) == math.prod(after) == planes else None
    if isinstance(form, Map) and after != root and (len(root) != 4 or len(after) >= 4):
        # Tokens made (N, C, H, W) are where a map begins; a map flattened is still itself.
        return None
    return form if layout(root, after) else None


def transpose(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read Transpose of a gate back to the map that its own was transposed from."""
    form = scene.form(value)
    if isinstance(form, Flawed) and form.is_simam:
        return form  # as exporters have it before a softmax of another axis than the last
    there = form.root.producer() if isinstance(form, Gate) else None
    if not isinstance(form, Gate) or there is None or there.op_type != "Transpose":
        return None
    source, rank = there.inputs[0], len(scene.shape(form.root))
    order, back = order_of(there, rank), order_of(node, rank)
    returns = scene.shape(value) == scene.shape(form.root) and len(back) == rank
    if source is None or not returns or any(order[b] != i for i, b in enumerate(back)):
        return None
    before = scene.form(source)
    if not isinstance(before, Map) or before.factor != ONE:
        return None
    groups = layout(scene.shape(before.root), scene.shape(source))
    if groups is None:
        return None
    return gates.of_another_map(form, before.root, [groups[axis] for axis in order])


def expand(node: ir.Node, value: ir.Value, scene: Scene) -> Form | None:
    """Read Expand of a reduction: each number repeated over its own plane."""
    form = scene.form(value)
    before, after = scene.shape(value), scene.shape(node.outputs[0])
    if form is None or not plane_axes(form) or len(before) != len(after):
        return None
    return form if all(b in (1, a) for b, a in zip(before, after, strict=True)) else None

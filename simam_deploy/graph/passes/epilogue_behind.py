"""What follows a SimAM and nothing else needs: the part that a kernel could do on the way out."""

from __future__ import annotations

import math

import onnx_ir as ir


def epilogue_behind(y: ir.Value) -> tuple[str, ...]:
    """Name the steps behind `y`, the result of a SimAM, in order.

    Returns:
        At most one affine part ("BN", or "scale" and "bias"), one "residual", and "ReLU" or
        "ReLU6" last; () where something else follows, or several things do.
    """
    steps: list[str] = []
    while not y.is_graph_output() and len(uses := y.uses()) == 1:
        node = next(iter(uses)).node
        step = _step(node, y)
        if not step or step in steps or not _may_follow(step, steps):
            break
        steps.append(step)
        y = node.outputs[0]
    return tuple(steps)


def _step(node: ir.Node, y: ir.Value) -> str:
    """Name what `node` does to `y`, "" where it is nothing of an epilogue."""
    if node.domain != "":
        return ""
    if node.op_type in ("Mul", "Add") and len(node.inputs) == 2:
        (other,) = [v for v in node.inputs if v is not y] or [None]
        per_channel = other is not None and _is_per_channel(ir.convenience.get_const_tensor(other))
        if node.op_type == "Mul":
            return "scale" if per_channel else ""
        if other is None or per_channel:
            return "bias" if per_channel else ""
        return "" if other.const_value is not None else "residual"
    if node.op_type == "Clip":
        return "ReLU6" if [_number(v) for v in node.inputs[1:]] == [0.0, 6.0] else ""
    return {"BatchNormalization": "BN", "Relu": "ReLU"}.get(node.op_type, "")


_ORDER = ("scale", "BN", "bias", "residual", "ReLU", "ReLU6")


def _may_follow(step: str, steps: list[str]) -> bool:
    """Tell whether `step` comes after all of `steps`; nothing follows an activation."""
    if not steps:
        return True
    return not steps[-1].startswith("ReLU") and _ORDER.index(steps[-1]) < _ORDER.index(step)


def _is_per_channel(tensor: ir.TensorProtocol | None) -> bool:
    """Tell a constant of shape (C, 1, 1) or (1, C, 1, 1)."""
    if tensor is None or len(tensor.shape) not in (3, 4):
        return False
    dims = tensor.shape.numpy()
    return dims[-3] == math.prod(dims)


def _number(value: ir.Value | None) -> float | None:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return float(tensor.numpy().reshape(-1)[0]) if tensor is not None and tensor.size == 1 else None

"""Along which axis rows that a selection chose lie behind another node.

Where that cannot be told, the axis is None, and the output is then compared place by place: that
refuses another order of rows, and lets nothing pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir


@dataclass(frozen=True)
class Rows:
    """Rows within a value.

    Attributes:
        by: The selecting node's first output.
        op: Its operator.
        axis: Along which they lie, None where unknown.
        order: The selecting node's place in the graph.
    """

    by: str
    op: str
    axis: int | None
    order: int


def axis_behind(node: ir.Node, output: ir.Value, rows: Mapping[ir.Value, Rows]) -> Rows | None:
    """Say what rows a node's output has.

    Args:
        node: No selecting one.
        output: One of its outputs.
        rows: What is known of the values before it.

    Returns:
        The latest selection's rows; None where the output has none.
    """
    carried = [(i, rows[v]) for i, v in enumerate(node.inputs) if v is not None and v in rows]
    if not carried:
        return None
    rule = _RULES.get(node.op_type, _aligned)
    for place, found in sorted(carried, key=lambda each: -each[1].order):
        axis = None if found.axis is None else rule(node, place, found.axis, output)
        if axis != _LOST:
            return replace(found, axis=axis)
    return None


_LOST = -1
"""In place of an axis: the output has rows no more."""
_Rule = Callable[[ir.Node, int, int, ir.Value], "int | None"]
"""The node, which of its inputs has the rows, along which axis, and the output."""


def _aligned(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    """Keep the axis where shapes agree: aligned at the end, as in broadcasting, or at the start.

    An elementwise node is the first kind, RoiAlign and Gemm are the second.
    """
    before, after = node.inputs[place], output.shape
    if before is None or before.shape is None or after is None:
        return None
    for shift in (len(after) - len(before.shape), 0):
        moved = axis + shift
        if 0 <= moved < len(after) and _alike(before.shape[axis], after[moved]):
            return moved
    return None


def _alike(a: int | ir.SymbolicDim, b: int | ir.SymbolicDim) -> bool:
    """Tell whether two sizes may be one: shape inference leaves a selection's count open."""
    known = isinstance(a, int) and isinstance(b, int)
    return a == b if known else not (isinstance(a, int) or isinstance(b, int))


def _transposed(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    perm = node.attributes.get_ints("perm")
    if perm is not None:
        return list(perm).index(axis)
    return None if output.shape is None else len(output.shape) - 1 - axis


def _squeezed(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    gone = _axes(node, None if node.inputs[0] is None else node.inputs[0].shape)
    if gone is None:
        return None
    return _LOST if axis in gone else axis - sum(each < axis for each in gone)


def _unsqueezed(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    new = _axes(node, output.shape)
    if new is None or output.shape is None:
        return None
    return [i for i in range(len(output.shape)) if i not in new][axis]


def _reduced(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    """Lose rows that are summed over, or searched for the largest."""
    before = node.inputs[0]
    gone = _axes(node, None if before is None else before.shape)
    if gone is None or axis in gone:
        return _LOST
    kept = node.attributes.get_int("keepdims", 1)
    return axis if kept else axis - sum(each < axis for each in gone)


def _gathered(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    """Follow indices into their place; data that is picked from along its rows has them no more."""
    indices = node.inputs[1]
    if indices is None or indices.shape is None or output.shape is None:
        return None
    data_rank = len(output.shape) - len(indices.shape) + 1
    picked = node.attributes.get_int("axis", 0) % data_rank
    if place == 1:
        return picked + axis
    if axis == picked:
        return picked if len(indices.shape) else _LOST
    return axis if axis < picked else axis + len(indices.shape) - 1


def _gathered_nd(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    indices = node.inputs[1]
    if place == 0 or indices is None or indices.shape is None:
        return None
    return axis if axis < len(indices.shape) - 1 else _LOST


def _gathered_elements(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    return axis if place == 1 else None


def _reshaped(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    """Find the one axis of the rows' size, where there is one only."""
    before, after = node.inputs[0], output.shape
    if place or before is None or before.shape is None or after is None:
        return None
    found = [i for i, size in enumerate(after) if _alike(before.shape[axis], size)]
    return found[0] if len(found) == 1 else None


def _counted(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    return _LOST


def _scattered(node: ir.Node, place: int, axis: int, output: ir.Value) -> int | None:
    """Lose rows that are laid out by their place."""
    return axis if place == 0 else _LOST


def _axes(node: ir.Node, shape: ir.Shape | None) -> set[int] | None:
    """Read a node's axes, as an attribute or an input; None where they cannot be told."""
    if shape is None:
        return None
    given = node.attributes.get_ints("axes")
    if "axis" in node.attributes or node.op_type in ("ArgMax", "ArgMin"):
        given = [node.attributes.get_int("axis", 0)]
    elif given is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        constant = ir.convenience.get_const_tensor(node.inputs[1])
        if constant is None:
            return None
        given = [int(each) for each in np.atleast_1d(constant.numpy())]
    return {each % len(shape) for each in given} if given else set(range(len(shape)))


_RULES: Mapping[str, _Rule] = {
    "Transpose": _transposed,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Gather": _gathered,
    "GatherND": _gathered_nd,
    "GatherElements": _gathered_elements,
    "Reshape": _reshaped,
    "Flatten": _reshaped,
    "Shape": _counted,
    "Size": _counted,
    "ScatterND": _scattered,
    "ScatterElements": _scattered,
    "ArgMax": _reduced,
    "ArgMin": _reduced,
    **{
        f"Reduce{kind}": _reduced
        for kind in (
            "Sum",
            "Max",
            "Min",
            "Mean",
            "Prod",
            "L1",
            "L2",
            "LogSum",
            "LogSumExp",
            "SumSquare",
        )
    },
}

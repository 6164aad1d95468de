"""What each known function and method of a tensor writes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch.nn import functional as F  # noqa: N812

from simam_deploy.graph.sites import dims
from simam_deploy.source.direct.extents import Unknown, merged
from simam_deploy.source.direct.sheet import Sheet


def relu(sheet: Sheet, x: ir.Value, inplace: bool = False) -> ir.Value:
    """Write Relu."""
    return sheet.op("Relu", x, shape=dims(x))


def clamp(
    sheet: Sheet, x: ir.Value, min: float | None = None, max: float | None = None
) -> ir.Value:  # fmt: skip
    """Write Clip."""
    bounds = [None if bound is None else sheet.number(float(bound)) for bound in (min, max)]
    while bounds and bounds[-1] is None:
        bounds.pop()
    return sheet.op("Clip", x, *bounds, shape=dims(x))


def mean(sheet: Sheet, x: ir.Value, dim: Any = None, keepdim: bool = False) -> ir.Value:
    """Write ReduceMean."""
    return _reduced(sheet, "ReduceMean", x, dim, keepdim)


def total(sheet: Sheet, x: ir.Value, dim: Any = None, keepdim: bool = False) -> ir.Value:
    """Write ReduceSum."""
    return _reduced(sheet, "ReduceSum", x, dim, keepdim)


def _reduced(sheet: Sheet, op_type: str, x: ir.Value, dim: Any, keepdim: bool) -> ir.Value:
    if dim is None:
        raise Unknown("a reduction to one number")
    shape = dims(x)
    axes = sorted(axis % len(shape) for axis in ((dim,) if isinstance(dim, int) else dim))
    left = [1 if i in axes else size for i, size in enumerate(shape) if keepdim or i not in axes]
    return sheet.op(op_type, x, sheet.numbers(axes), shape=left, keepdims=int(keepdim))


def transpose(sheet: Sheet, x: ir.Value, dim0: int, dim1: int) -> ir.Value:
    """Write Transpose of two axes."""
    shape = dims(x)
    order = list(range(len(shape)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return sheet.op("Transpose", x, shape=[shape[i] for i in order], perm=order)


def unsqueeze(sheet: Sheet, x: ir.Value, dim: int) -> ir.Value:
    """Write Unsqueeze."""
    shape = list(dims(x))
    axis = dim % (len(shape) + 1)
    shape.insert(axis, 1)
    return sheet.op("Unsqueeze", x, sheet.numbers([axis]), shape=shape)


def flatten(sheet: Sheet, x: ir.Value, start_dim: int = 0, end_dim: int = -1) -> ir.Value:
    """Write a Reshape to a constant: 0 keeps a dimension, -1 is what is left."""
    shape = dims(x)
    first, last = start_dim % len(shape), end_dim % len(shape)
    middle = merged(shape[first : last + 1])
    behind = [size if isinstance(size, int) else -1 for size in shape[last + 1 :]]
    target = [*[0] * first, middle, *behind]
    if middle < 0 or target.count(-1) > 1:
        raise Unknown(f"a flattening of {shape}, whose sizes are free")
    return sheet.op(
        "Reshape", x, sheet.numbers(target), shape=[*shape[:first], middle, *shape[last + 1 :]]
    )  # fmt: skip


def concatenate(sheet: Sheet, tensors: Sequence[ir.Value], dim: int = 0) -> ir.Value:
    """Write Concat."""
    shapes = [dims(tensor) for tensor in tensors]
    axis = dim % len(shapes[0])
    sizes = [shape[axis] for shape in shapes]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) != len(sizes):
        raise Unknown("a concatenation along a free axis")
    shape = [*shapes[0][:axis], sum(known), *shapes[0][axis + 1 :]]
    return sheet.op("Concat", *tensors, shape=shape, axis=axis)


def square_root(sheet: Sheet, x: ir.Value) -> ir.Value:
    """Write Sqrt."""
    return sheet.op("Sqrt", x, shape=dims(x))


def pairwise(op_type: str) -> Callable[[Sheet, ir.Value, ir.Value], ir.Value]:
    """Make the writer of an operation on two tensors of one shape."""

    def write(sheet: Sheet, a: ir.Value, b: ir.Value) -> ir.Value:
        if not isinstance(b, ir.Value) or dims(a) != dims(b):
            raise Unknown(f"{op_type} of a number, or of two shapes")
        return sheet.op(op_type, a, b, shape=dims(a))

    return write


WRITERS: dict[Any, Callable[..., ir.Value]] = {
    F.relu: relu,
    operator.add: pairwise("Add"),
    operator.iadd: pairwise("Add"),
    operator.mul: pairwise("Mul"),
    operator.sub: pairwise("Sub"),
    torch.cat: concatenate,
    "clamp": clamp,
    "flatten": flatten,
    "mean": mean,
    "sqrt": square_root,
    "sum": total,
    "transpose": transpose,
    "unsqueeze": unsqueeze,
}
"""Functions by themselves, methods of tensors by name."""

"""Sums that a graph takes in one long run, parted in two that a runtime takes exactly.

ONNX Runtime adds a plane up in one run: of 512 x 512 equal numbers its mean is off by 7e-4 of
itself, where PyTorch, which adds in pairs, is off by 1e-7. A file states the mean, and not that
error. Put in front of a reduction, one over its last axis alone changes nothing that is stated:
rows are equally long, so the mean of their means is the mean.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from simam_deploy.graph.file.typed import with_shapes
from simam_deploy.graph.lower.portable import LONGEST_RUN
from simam_deploy.graph.tape import AXES_AS_INPUT_SINCE

_SUM_AXES_AS_INPUT_SINCE = 13
_FIRST = {"ReduceMean": "ReduceMean", "ReduceSum": "ReduceSum", "GlobalAveragePool": "ReduceMean"}
"""By operator, what is put in front of it."""


def resum(model: ir.Model) -> tuple[ir.Model, int]:
    """Part every long ReduceMean, ReduceSum and GlobalAveragePool of float32.

    Args:
        model: Plain ops; it is used up.

    Returns:
        The graph, and how many reductions were parted.
    """
    model = with_shapes(model)
    count = 0
    for node in list(model.graph):
        if not node.domain and node.op_type in _FIRST:
            count += _part(model, node)
    return model, count


def _part(model: ir.Model, node: ir.Node) -> bool:
    """Put a reduction over the last axis in front of a long one."""
    x, axes = node.inputs[0], _axes(node)
    if x is None or x.dtype != ir.DataType.FLOAT or x.shape is None or not axes:
        return False
    sizes = [x.shape[axis] for axis in axes]
    static = [size for size in sizes if isinstance(size, int)]
    if len(static) == len(sizes) and math.prod(static) <= LONGEST_RUN:
        return False
    last = max(axis % len(x.shape) for axis in axes)
    if len(axes) > 1:
        _insert(model, node, [], x, last, keepdims=1)
        return True
    rows = _factor(static[0]) if static else 1
    if last != len(x.shape) - 1 or rows == 1:
        return False
    shape = _constant(model, [*[0] * last, rows, static[0] // rows])
    parted = ir.node("Reshape", [x, shape])
    _insert(model, node, [parted], parted.outputs[0], last + 1, keepdims=0)
    return True


def _insert(
    model: ir.Model, node: ir.Node, before: list[ir.Node], x: ir.Value, axis: int, keepdims: int
) -> None:
    """Let a reduction read one of its own kind, over one axis."""
    kind = _FIRST[node.op_type]
    since = AXES_AS_INPUT_SINCE if kind == "ReduceMean" else _SUM_AXES_AS_INPUT_SINCE
    attributes: dict[str, int | list[int]] = {"keepdims": keepdims}
    inputs = [x]
    if model.opset_imports[""] < since:
        attributes["axes"] = [axis]
    else:
        inputs.append(_constant(model, [axis]))
    first = ir.node(kind, inputs, attributes=attributes)
    for number, made in enumerate([*before, first]):
        made.outputs[0].name = f"{node.outputs[0].name}/parted{number}"
    model.graph.insert_before(node, [*before, first])
    node.replace_input_with(0, first.outputs[0])


def _axes(node: ir.Node) -> tuple[int, ...]:
    """Read the axes that a reduction states, by attribute or by constant input; () for others."""
    if node.op_type == "GlobalAveragePool":
        x = node.inputs[0]
        return tuple(range(2, len(x.shape))) if x is not None and x.shape is not None else ()
    if "axes" in node.attributes:
        return tuple(node.attributes["axes"].as_ints())
    held = node.inputs[1] if len(node.inputs) > 1 else None
    tensor = ir.convenience.get_const_tensor(held) if held is not None else None
    return () if tensor is None else tuple(int(a) for a in tensor.numpy().reshape(-1))


def _factor(count: int) -> int:
    """Give the divisor of a count that is nearest its root from below."""
    return next(n for n in range(math.isqrt(count), 0, -1) if count % n == 0)


def _constant(model: ir.Model, values: list[int]) -> ir.Value:
    name = f"parted/{'_'.join(map(str, values))}"
    if name not in model.graph.initializers:
        tensor = ir.tensor(values, dtype=ir.DataType.INT64, name=name)
        model.graph.register_initializer(ir.val(name, const_value=tensor))
    return model.graph.initializers[name]

"""Where a graph selects: outputs whose rows are a set, and outputs that point into a value.

A selection keeps some rows of what it is given: NonMaxSuppression, TopK, NonZero, Compress.
Rounding may change their order, so what is made of them is compared as a set (`verify.sets`); what
they are given has no order to lose, and is compared value by value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from simam_deploy.graph.selection.rows import Rows, axis_behind

SELECTING = ("NonMaxSuppression", "TopK", "NonZero", "Compress")
_POINTING = ("ArgMax", "ArgMin")
_SAME_ORDER = ("Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
_SAME_VALUES = ("Identity", "Cast", "QuantizeLinear", "DequantizeLinear")
BEFORE = "before/"
"""Begins the names of outputs that hold what selections are given."""
_COUNTS = ("Shape", "Size")
_NOTHING = -1e30
"""Below it a score fills a place that nothing has, as a mask's -3e38 does: beside such a number all
others would be within any share of the largest."""


@dataclass(frozen=True)
class Selection:
    """What chose the rows of an output.

    Attributes:
        by: The selecting node's first output: outputs that share it share their rows.
        op: Its operator.
        axis: Of the output, along which the rows lie; None where that cannot be told.
        triples: Whether the output is NonMaxSuppression's own (num, 3): batch, class, box.
    """

    by: str
    op: str
    axis: int | None
    triples: bool = False


@dataclass(frozen=True)
class Pointed:
    """What the indices of an output point into.

    Attributes:
        value: The name of the inner value.
        axis: Of the value, along which an index counts; negative ones count from the end.
    """

    value: str
    axis: int


def selected_outputs(model: ir.Model) -> dict[str, Selection]:
    """Find the outputs whose rows a selection chose.

    What only counts rows (Shape, a sum over them) or lays them out by place (Scatter) is no set.

    Args:
        model: Its functions inlined and its shapes inferred, as behind `graph.prepare.plain`.

    Returns:
        By output name; an output that no selection reaches is not in it.
    """
    rows = _rows(model)
    return {
        _name(output): Selection(
            rows[output].by, rows[output].op, rows[output].axis, _is_triples(output)
        )
        for output in model.graph.outputs
        if output in rows
    }


def counting_outputs(model: ir.Model) -> frozenset[str]:
    """Find the whole numbers behind a selection that are no rows of it: how many there are."""
    rows, behind = _rows(model), set[ir.Value]()
    for node in model.graph:
        if _selects(node) or behind.intersection(_read(node)):
            behind.update(node.outputs)
    whole = (ir.DataType.INT32, ir.DataType.INT64)
    outputs = (o for o in model.graph.outputs if o in behind and o not in rows and o.dtype in whole)
    return frozenset(map(_name, outputs))


def pointed_values(model: ir.Model) -> dict[str, Pointed]:
    """Find the outputs that are indices of ArgMax, ArgMin or TopK, and what they point into.

    Returns:
        By output name. Such an output may be among `selected_outputs` too: a tie there is judged
        by the values, so these come first.
    """
    found = {}
    for output in model.graph.outputs:
        value = _behind(output, _SAME_ORDER)
        node = value.producer()
        if node is not None and _gives_indices(node, value) and node.inputs[0] is not None:
            axis = node.attributes.get_int("axis", -1 if node.op_type == "TopK" else 0)
            found[_name(output)] = Pointed(_name(node.inputs[0]), axis)
    return found


def pointed_name(output: str) -> str:
    """Name the output that holds what another's indices point into."""
    return f"pointed/{output}"


def with_pointed(model: ir.Model) -> ir.Model:
    """Add what the indices point into as outputs `pointed/NAME` in float32.

    Args:
        model: It is changed in place.
    """
    values = {_name(value): value for value in _all_values(model.graph)}
    for name, pointed in pointed_values(model).items():
        _give(model.graph, values[pointed.value], pointed_name(name))
    return model


def before_selection(model: ir.Model) -> ir.Model:
    """Add what the first selections are given, and what is selected from, as outputs in float32.

    Those are all floats that are computed from the inputs without any selection and are read by a
    selection or behind one: of a detector with a NonMaxSuppression its boxes and scores, each once,
    however often and in what types it is read. Together they are all that the outputs depend on,
    but for what the selecting part itself does.

    Args:
        model: As for `selected_outputs`, with types; it is changed in place.

    Returns:
        The model, with outputs `before/0`, `before/1` and so on in the order in which they are
        read: the same for one network in float32, half and int8. None where nothing is selected.
    """
    for number, value in enumerate(list(_frontier(model))):
        _give(model.graph, value, f"{BEFORE}{number}")
    return model


def _rows(model: ir.Model) -> dict[ir.Value, Rows]:
    """Follow every selection's rows forward."""
    rows: dict[ir.Value, Rows] = {}
    live = set(model.graph.inputs)
    for order, node in enumerate(model.graph):
        read = list(_read(node))
        if node.op_type in _COUNTS or not live.intersection(read):
            continue
        live.update(node.outputs)
        for output in node.outputs:
            made = (
                Rows(_name(node.outputs[0]), _selects(node) or "", _own_axis(node, output), order)
                if _selects(node)
                else axis_behind(node, output, rows)
            )
            if made is not None:
                rows[output] = made
    return rows


def _selects(node: ir.Node) -> str | None:
    """Name the selecting operator that a node is, or has in a body of its own."""
    if node.op_type in SELECTING:
        return node.op_type
    inner = (n for body in _bodies(node) for n in body.all_nodes())
    return next((n.op_type for n in inner if n.op_type in SELECTING), None)


def _own_axis(node: ir.Node, output: ir.Value) -> int | None:
    """Say along which axis a selecting node lays its rows."""
    if node.op_type == "NonMaxSuppression":
        return 0
    if node.op_type == "NonZero":
        return 1
    if node.op_type == "Compress" and "axis" not in node.attributes:
        return 0
    if node.op_type not in SELECTING:
        return None  # a body: Loop and If say nothing of their rows
    axis = node.attributes.get_int("axis", -1)
    shape = output.shape
    return axis if axis >= 0 else None if shape is None else axis + len(shape)


def without_sets(model: ir.Model) -> ir.Model:
    """Have a graph give what its selections are given in place of the sets that they make of it.

    Args:
        model: As for `before_selection`; it is changed in place.
    """
    sets = selected_outputs(model).keys() | counting_outputs(model)
    if sets:
        before_selection(model)
        kept = [output for output in model.graph.outputs if output.name not in sets]
        model.graph.outputs[:] = kept
    return model


def _frontier(model: ir.Model) -> Iterator[ir.Value]:
    """Yield what is read by a selection or behind one, and is not behind one itself."""
    live, late = set(model.graph.inputs), set[ir.Value]()
    seen = set[ir.Value]()
    for node in model.graph:
        read = list(_read(node))
        if node.op_type in _COUNTS or not live.intersection(read):
            continue
        live.update(node.outputs)
        if not (_selects(node) or late.intersection(read)):
            continue
        late.update(node.outputs)
        for value in read:
            source = _behind(value, _SAME_VALUES)
            if value in live and value not in late and _is_float(value) and source not in seen:
                seen.add(source)
                yield value


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """Yield a node's inputs, and what its bodies read from outside."""
    for each in (node, *(n for body in _bodies(node) for n in body.all_nodes())):
        yield from (value for value in each.inputs if value is not None)


def _bodies(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()


def _is_triples(output: ir.Value) -> bool:
    node = _behind(output, ("Identity", "Cast")).producer()
    return node is not None and node.op_type == "NonMaxSuppression"


def _gives_indices(node: ir.Node, value: ir.Value) -> bool:
    return node.op_type in _POINTING or (node.op_type == "TopK" and value is node.outputs[1])


def _behind(value: ir.Value, ops: tuple[str, ...]) -> ir.Value:
    """Go back through nodes of these operators."""
    node = value.producer()
    while node is not None and node.op_type in ops and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _all_values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _give(graph: ir.Graph, value: ir.Value, name: str) -> None:
    """Add a float32 copy of a value to the outputs, 0 where it stands for nothing."""
    wide = ir.node("Cast", [value], {"to": ir.DataType.FLOAT.value}, name=f"{name}/wide")
    numbers = [_number(graph, f"{name}/{of}", of) for of in (_NOTHING, 0.0)]
    none = ir.node("Less", [wide.outputs[0], numbers[0]], name=f"{name}/none")  # nor is NaN
    node = ir.node("Where", [none.outputs[0], numbers[1], wide.outputs[0]], name=name)
    graph.extend([wide, none, node])
    copy = node.outputs[0]
    for each in (wide.outputs[0], copy):
        each.shape, each.type = value.shape, ir.TensorType(ir.DataType.FLOAT)
    wide.outputs[0].name, none.outputs[0].name, copy.name = f"{name}/wide", f"{name}/none", name
    none.outputs[0].shape, none.outputs[0].type = value.shape, ir.TensorType(ir.DataType.BOOL)
    graph.outputs.append(copy)


def _number(graph: ir.Graph, name: str, value: float) -> ir.Value:
    number = ir.val(name, const_value=ir.tensor(np.float32(value), name=name))
    graph.register_initializer(number)
    return number


def _name(value: ir.Value) -> str:
    return value.name or ""

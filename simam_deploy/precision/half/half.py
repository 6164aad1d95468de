"""Make a graph compute in float16 or bfloat16, its SimAM nodes and fragile parts in float32.

Every value is half or float32 by the node that makes it (`placement` chooses), and a reader that
wants the other gets it from the one Cast of that value. So there is never a Cast behind a Cast,
none is doubled, and two SimAM nodes in a row share float32 between them.

Own rather than onnxruntime.transformers' float16 converter, which works on a message with all
weights in it (two copies at once, 2 GB at most), clips weights that do not fit, and casts around
every blocked node by itself: 190 Casts in a cifar_resnet20 with its islands blocked, here 20.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.file.typed import check_typed
from simam_deploy.graph.types import HALVES, LEAST_OPSET, is_quantised, precision_name
from simam_deploy.precision.half.placement import full_nodes, is_float
from simam_deploy.precision.half.schema import half_positions


@dataclass(frozen=True)
class Halved:
    """What a conversion did: nodes in the half type, Casts added, and a line for each surprise."""

    nodes: int
    casts: int
    notes: tuple[str, ...]


def to_half(
    model: ir.Model,
    dtype: ir.DataType,
    keep_io: bool = True,
    keep: Collection[str] = (),
    simam_half: bool = False,
) -> Halved:
    """Convert the main graph in place; weights are rounded when they are written.

    Args:
        model: A float32 graph, its values typed; SimAM is one node a site or plain ops.
        dtype: FLOAT16 or BFLOAT16.
        keep_io: Whether inputs and outputs stay float32.
        keep: Names of nodes that stay float32, beside those that `placement` chooses.
        simam_half: Whether SimAM nodes take and give the half type, without Casts: for a lowering
            that keeps them and computes in float32 inside, "function" or "plugin".

    Returns:
        What was done.

    Raises:
        InputError: The graph is half or quantised already, or lacks types.
        UsageError: The graph's opset is too old for bfloat16, or a node to keep is not in it.
    """
    _check(model, dtype)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    full, notes = full_nodes(model, dtype, simam_half)
    full |= _named(model, keep)
    conversion = _Conversion(model, dtype, full)
    nodes = conversion.nodes(keep_io)
    conversion.outputs(ir.DataType.FLOAT if keep_io else dtype)
    return Halved(nodes, conversion.casts, notes)


def half_nodes(model: ir.Model, dtype: ir.DataType) -> tuple[str, ...]:
    """Name the nodes that `to_half` converts if nothing is kept, in their order; not in place.

    Args:
        model: As for `to_half`; every node has a name of its own.
        dtype: FLOAT16 or BFLOAT16.
    """
    full, _ = full_nodes(model, dtype)
    constants = {"Constant", "ConstantOfShape"}
    return tuple(n.name or "" for n in model.graph if n not in full and n.op_type not in constants)


def _named(model: ir.Model, names: Collection[str]) -> set[ir.Node]:
    found = {node for node in model.graph if node.name in names}
    missing = set(names) - {node.name for node in found}
    if missing:
        raise UsageError(f"there is no node {min(missing)} that could stay float32")
    return found


def _check(model: ir.Model, dtype: ir.DataType) -> None:
    values = [v for node in model.graph for v in node.outputs if v.name]
    values += [*model.graph.inputs, *model.graph.initializers.values()]
    for value in values:
        if value.dtype in HALVES:
            raise InputError(
                f"the model is {value.dtype.name.lower()} already, at least at {value.name}: "
                "start from its float32 original"
            )
    for node in model.graph:
        if is_quantised(node):
            raise InputError(f"the model is quantised ({node.op_type}): start from its original")
    check_typed(model)
    least = LEAST_OPSET.get(precision_name(dtype), 0)
    if model.opset_imports[""] < least:
        raise UsageError(
            f"opset {model.opset_imports['']} does not define Conv for {dtype.name.lower()}: take "
            f"{least} or newer",
            options=("opset",),
        )


class _Conversion:
    """The graph under conversion and the other form of each of its values.

    Args:
        model: The checked model.
        dtype: The half type.
        full: The nodes that stay.
    """

    def __init__(self, model: ir.Model, dtype: ir.DataType, full: set[ir.Node]) -> None:
        self.casts = 0
        self._graph = model.graph
        self._opset = model.opset_imports[""]
        self._dtype = dtype
        self._full = full
        self._others: dict[ir.Value, ir.Value] = {}

    def nodes(self, keep_inputs: bool) -> int:
        """Retype what the half nodes compute, then what every node reads; counts the former."""
        halved = [node for node in self._graph if node not in self._full]
        reads = {node: self._half_reads(node) for node in halved}
        for node in halved:
            _, outputs = half_positions(node, self._opset, self._dtype)
            for value in (node.outputs[i] for i in outputs):
                value.type = ir.TensorType(self._dtype)
        for value in [] if keep_inputs else self._graph.inputs:
            if is_float(value) and not value.is_initializer():
                value.type = ir.TensorType(self._dtype)
        for node in list(self._graph.all_nodes()):
            self._feed(node, reads.get(node, ()))
        return len(halved)

    def _half_reads(self, node: ir.Node) -> tuple[int, ...]:
        inputs, _ = half_positions(node, self._opset, self._dtype)
        return tuple(i for i in inputs if is_float(node.inputs[i]))

    def _feed(self, node: ir.Node, half: tuple[int, ...]) -> None:
        """Give a node its inputs in the types that it wants; a Shape takes any."""
        if node.op_type in ("Shape", "Size") and not node.domain:
            return
        for index, value in enumerate(node.inputs):
            wanted = self._dtype if index in half else ir.DataType.FLOAT
            if value is not None and value.dtype in (self._dtype, ir.DataType.FLOAT):
                node.replace_input_with(index, self._as(value, wanted))

    def _as(self, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        """Give the value in the wanted type, from the one Cast or weight that makes it so."""
        if value.dtype == wanted:
            return value
        if value not in self._others:
            weight = value.is_initializer() and not value.is_graph_input()
            self._others[value] = self._rounded(value) if weight else self._cast(value, wanted)
        return self._others[value]

    def _cast(self, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        """Insert a Cast where the value becomes known."""
        name = f"{value.name}/{wanted.name.lower()}"
        node = ir.node("Cast", [value], attributes={"to": wanted}, name=name)
        cast = node.outputs[0]
        cast.name, cast.shape, cast.type = name, value.shape, ir.TensorType(wanted)
        producer = value.producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], node)
        else:
            self._graph.insert_after(producer, node)
        self.casts += 1
        return cast

    def _rounded(self, value: ir.Value) -> ir.Value:
        """Register the half of a weight, rounded when it is asked for."""
        tensor = value.const_value
        assert tensor is not None
        name = f"{value.name}/{self._dtype.name.lower()}"
        shape = ir.Shape(tensor.shape.numpy())
        lazy = ir.LazyTensor(
            partial(_round, tensor, self._dtype), dtype=self._dtype, shape=shape, name=name
        )
        half = ir.Value(name=name, shape=shape, type=ir.TensorType(self._dtype), const_value=lazy)
        self._graph.register_initializer(half)
        return half

    def outputs(self, wanted: ir.DataType) -> None:
        """Let the outputs be float32, or half, under the names they had."""
        for index, value in enumerate(self._graph.outputs):
            if value.dtype in (self._dtype, ir.DataType.FLOAT) and value.dtype != wanted:
                self._graph.outputs[index] = self._renamed(value, wanted)
        self._drop_unread()

    def _renamed(self, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        """Cast an output and hand its name on."""
        other, name = self._as(value, wanted), value.name
        value.name = f"{name}/{value.dtype.name.lower() if value.dtype else ''}"
        other.name = name
        return other

    def _drop_unread(self) -> None:
        """Let the half of a weight that nothing reads in float32 any more take its name."""
        for value, half in self._others.items():
            read = value.uses() or value.is_graph_output() or value.is_graph_input()
            if value.is_initializer() and not read:
                name = value.name or ""
                del self._graph.initializers[name], self._graph.initializers[half.name or ""]
                half.name = name
                self._graph.register_initializer(half)


def _round(tensor: ir.TensorProtocol, dtype: ir.DataType) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(dtype.numpy()), dtype=dtype)

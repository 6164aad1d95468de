"""Tapes that write an operator's arithmetic once: in a function's body, or in place of a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from simam_deploy.graph.tape import Number, Tape, array_of
from simam_deploy.op import contract

Trip = Callable[["LoopTape", ir.Value, ir.Value], tuple[ir.Value, ir.Value | None]]
"""Emits one trip of a Loop, given its number (int64) and what is carried; returns what is carried
on, and whether to go on, None for always."""


class LoopTape(Tape):
    """A tape that computes in float32 and knows Loops; where attributes come from is left open."""

    def __init__(self, graph: ir.Graph, node: ir.Node, opset: int, rank: int = 0) -> None:
        super().__init__(graph, node, opset, rank)
        self.dtype = ir.DataType.FLOAT
        self._node = node

    def attribute(self, name: str, kind: ir.AttributeType = ir.AttributeType.FLOAT) -> ir.Value:
        """Give the operator's attribute of that name, a scalar."""
        raise NotImplementedError

    def passed_on(self, name: str, own: str) -> ir.Attr:
        """Give an attribute `name`, of type INT, for a node here: the operator's `own`."""
        raise NotImplementedError

    def known(self, name: str) -> int | None:
        """Give the number of an attribute of type INT, None where only a caller knows it."""
        return None

    def since(self, opset: int) -> bool:
        """Tell whether the opset is that one or newer."""
        return self._opset >= opset

    def wide(self, x: ir.Value) -> ir.Value:
        """Emit x in float32."""
        return self.cast(x, self.dtype)

    def like(self, y: ir.Value, x: ir.Value) -> ir.Value:
        """Emit y, of the tape's dtype, in that of x."""
        if x.dtype is None:
            return self.op("CastLike", y, x)
        return y if x.dtype == self.dtype else self.op("Cast", y, attributes={"to": x.dtype})

    def loop(self, trips: ir.Value, start: ir.Value, trip: Trip) -> ir.Value:
        """Append a Loop that carries one value of the tape's dtype.

        Args:
            trips: How often at most, an int64 scalar.
            start: What is carried into the first trip.
            trip: What is done in each.
        """
        count = sum(node.op_type == "Loop" for node in self._nodes)
        inside = f"{self._output}/Loop_{count}"
        kinds = (ir.DataType.INT64, ir.DataType.BOOL, self.dtype)
        number, go, carried = (
            ir.Value(name=f"{inside}/{name}", type=ir.TensorType(kind))
            for name, kind in zip(("trip", "go", "carried"), kinds, strict=True)
        )
        number.shape = go.shape = ir.Shape([])
        marker = ir.node("Loop", [], outputs=[ir.Value(name=inside)], name=inside)
        tape = BodyTape(self._graph, marker, self._opset, self._rank)
        result, onward = trip(tape, number, carried)
        onward = tape.op("Identity", go) if onward is None else onward
        onward.type, result.type = go.type, carried.type
        body = ir.Graph([number, go, carried], [onward, result], nodes=tape._nodes, name="trip")
        return self.op("Loop", trips, self._true(), start, attributes={"body": body})

    def _true(self) -> ir.Value:
        return self.op("Constant", attributes={"value": ir.tensor(np.array(True))})


class BodyTape(LoopTape):
    """A tape whose constants are nodes, since a function has no initializers."""

    def __init__(self, graph: ir.Graph, node: ir.Node, opset: int, rank: int = 0) -> None:
        super().__init__(graph, node, opset, rank)
        self._constants: dict[object, ir.Value] = {}

    def constant(self, value: Number, shape: Sequence[int] = ()) -> ir.Value:
        """Give a Constant; arguments are those of `Tape.constant`."""
        key = repr(value), tuple(shape)
        if key not in self._constants:
            tensor = ir.tensor(array_of(value, shape, self.dtype))
            self._constants[key] = self.op("Constant", attributes={"value": tensor})
        return self._constants[key]

    def attribute(self, name: str, kind: ir.AttributeType = ir.AttributeType.FLOAT) -> ir.Value:
        """Append a Constant that holds the calling node's attribute of that name, a scalar."""
        key = {ir.AttributeType.FLOAT: "value_float", ir.AttributeType.INT: "value_int"}[kind]
        return self.op("Constant", attributes={key: ir.RefAttr(key, name, kind)})

    def passed_on(self, name: str, own: str) -> ir.Attr:
        """Refer to the calling node's attribute."""
        return ir.RefAttr(name, own, ir.AttributeType.INT)


class SiteTape(LoopTape):
    """A tape that writes in place of one node, whose attributes are known."""

    def attribute(self, name: str, kind: ir.AttributeType = ir.AttributeType.FLOAT) -> ir.Value:
        """Give an initializer."""
        attribute = self._node.attributes[name]
        is_float = kind == ir.AttributeType.FLOAT
        return self.constant(attribute.as_float() if is_float else attribute.as_int())

    def known(self, name: str) -> int | None:
        """Give the node's number."""
        return self._node.attributes[name].as_int()

    def passed_on(self, name: str, own: str) -> ir.Attr:
        """Give the node's number."""
        return ir.AttrInt64(name, self._node.attributes[own].as_int())


def function(
    op_type: str,
    inputs: Sequence[str],
    attributes: Mapping[str, ir.AttributeType],
    opset: int,
    emit: Callable[[BodyTape, Sequence[ir.Value]], ir.Value],
    rank: int = 0,
) -> ir.Function:
    """Give the FunctionProto's counterpart for an operator of the domain, of one output y.

    Args:
        op_type: The operator.
        inputs: Names.
        attributes: Names and types; none has a default.
        opset: The model's: the two must agree on every op.
        emit: Emits the body of the inputs and returns the result.
        rank: Of the tape's numbers.
    """
    values = [ir.Value(name=name) for name in inputs]
    node = ir.node(
        op_type, values, domain=contract.DOMAIN, outputs=[ir.Value(name="y")], name=op_type
    )
    graph = ir.Graph(values, node.outputs, nodes=[node], opset_imports={"": opset})
    tape = BodyTape(graph, node, opset, rank)
    tape.replace(node, emit(tape, values))
    declared = [ir.Attr(name, kind, None) for name, kind in attributes.items()]
    return ir.Function(contract.DOMAIN, op_type, graph=graph, attributes=declared)

"""Write the body of a function: a tape whose constants are nodes, with Loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from simam_deploy.graph.tape import Tape
from simam_deploy.op import contract

Number = float | int | Sequence[float] | Sequence[int]


class BodyTape(Tape):
    """A tape whose constants are nodes, since a function has no initializers."""

    def __init__(self, graph: ir.Graph, node: ir.Node, opset: int, rank: int = 0) -> None:
        super().__init__(graph, node, opset, rank)
        self._constants: dict[object, ir.Value] = {}

    def constant(self, value: Number, shape: Sequence[int] = ()) -> ir.Value:
        """Give a Constant: a float, the same in all of `shape`, or an int64; or a vector."""
        content = tuple(value) if isinstance(value, Sequence) else value
        key = repr(content), tuple(shape)
        if key not in self._constants:
            first = content[0] if isinstance(content, tuple) else content
            dtype = np.float32 if isinstance(first, float) else np.int64
            array = np.full(shape, content, dtype) if shape else np.array(content, dtype)
            self._constants[key] = self.op("Constant", attributes={"value": ir.tensor(array)})
        return self._constants[key]

    def attribute(self, name: str, kind: ir.AttributeType = ir.AttributeType.FLOAT) -> ir.Value:
        """Append a Constant that holds the calling node's attribute of that name, a scalar."""
        key = {ir.AttributeType.FLOAT: "value_float", ir.AttributeType.INT: "value_int"}[kind]
        return self.op("Constant", attributes={key: ir.RefAttr(key, name, kind)})

    def since(self, opset: int) -> bool:
        """Tell whether the body's opset is that one or newer."""
        return self._opset >= opset

    def loop(
        self,
        trips: ir.Value,
        start: ir.Value,
        step: Callable[[BodyTape, ir.Value, ir.Value], tuple[ir.Value, ir.Value | None]],
    ) -> ir.Value:
        """Append a Loop that carries one value of the tape's dtype.

        Args:
            trips: How often at most, an int64 scalar.
            start: What is carried into the first trip.
            step: Emits one trip, given the number of the trip (int64) and what is carried; returns
                what is carried on, and whether to go on, None for always.
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
        result, onward = step(tape, number, carried)
        onward = tape.op("Identity", go) if onward is None else onward
        onward.type, result.type = go.type, carried.type
        body = ir.Graph([number, go, carried], [onward, result], nodes=tape._nodes, name="trip")
        return self.op("Loop", trips, self._true(), start, attributes={"body": body})

    def _true(self) -> ir.Value:
        return self.op("Constant", attributes={"value": ir.tensor(np.array(True))})


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

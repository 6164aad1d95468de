"""Emit a run of nodes in place of one, with the opset's own way of writing axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from simam_deploy.graph.sites import dims

AXES_AS_INPUT_SINCE = 18
"""ReduceMean (like ReduceMax, ReduceProd, ...) takes its axes as an input from this opset on."""
SHAPE_SLICES_SINCE = 15
"""Shape has the attributes start and end from this opset on."""

Scalar = float | ir.Value
"""A number that is known now, or a value of one element that the graph will know."""


Number = float | int | Sequence[int] | Sequence[float]
"""What a constant is made of: floats become the tape's dtype, others int64."""


class Tape:
    """Collects nodes named after the one they replace; `replace` puts them in its stead.

    Values are named after its output, whose name, unlike a node's, is unique in any valid graph.
    A float among a node's inputs becomes a constant of `dtype` and `rank`.

    Args:
        graph: The graph to change; constants become its initializers, shared by value.
        node: The node that will be replaced; its name prefixes those of the new ones.
        opset: The version of the default domain.
        rank: Dimensions, all 1, of a number; best as many as its partner has. ONNX Runtime adds
            a number of shape (1, 1, 1, 1) to a (1, 960, 1, 1) tensor in 0.4 us and one of shape
            () in 6.6 us, since it then takes the trailing dimensions one by one.

    Attributes:
        dtype: What to compute in: float64 where the node's output is, else float32.
    """

    def __init__(self, graph: ir.Graph, node: ir.Node, opset: int, rank: int = 0) -> None:
        self._graph = graph
        self._output = node.outputs[0].name
        self._prefix = node.name or self._output
        self._opset = opset
        self._rank = rank
        self._nodes: list[ir.Node] = []
        double = node.outputs[0].dtype == ir.DataType.DOUBLE
        self.dtype = ir.DataType.DOUBLE if double else ir.DataType.FLOAT

    def op(
        self, op_type: str, *inputs: Scalar, attributes: Mapping[str, Any] | None = None
    ) -> ir.Value:
        """Append one node with one output and return that output."""
        return self.ops(op_type, *inputs, outputs=1, attributes=attributes)[0]

    def ops(
        self,
        op_type: str,
        *inputs: Scalar,
        outputs: int,
        attributes: Mapping[str, Any] | None = None,
    ) -> Sequence[ir.Value]:
        """Append one node and return its outputs."""
        ones = (1,) * self._rank
        values = [self.constant(v, ones) if isinstance(v, float) else v for v in inputs]
        count = sum(n.op_type == op_type for n in self._nodes)
        role = f"{op_type}{f'_{count}' if count else ''}"
        name = f"{self._prefix}/{role}"
        node = ir.node(
            op_type, values, attributes=dict(attributes or {}), num_outputs=outputs, name=name
        )
        for index, value in enumerate(node.outputs):
            value.name = f"{self._output}/{role}{f':{index}' if index else ''}"
        self._nodes.append(node)
        return node.outputs

    def put(self, node: ir.Node) -> ir.Value:
        """Append a node that was made elsewhere, of one output, and return that output."""
        node.outputs[0].name = f"{self._output}/{node.op_type}"
        self._nodes.append(node)
        return node.outputs[0]

    def product(self, a: Scalar, b: Scalar) -> Scalar:
        """Multiply now where both are numbers, in the graph where one is not."""
        return a * b if isinstance(a, float) and isinstance(b, float) else self.op("Mul", a, b)

    def reduce_mean(self, x: ir.Value, axes: Sequence[int]) -> ir.Value:
        """Append a ReduceMean that keeps the reduced dimensions."""
        if self._opset < AXES_AS_INPUT_SINCE:
            return self.op("ReduceMean", x, attributes={"axes": list(axes), "keepdims": 1})
        return self.op("ReduceMean", x, self.constant(axes), attributes={"keepdims": 1})

    def spatial_shape(self, x: ir.Value) -> ir.Value:
        """Append what yields the 1-D int64 shape of x from dimension 2 on."""
        if self._opset >= SHAPE_SLICES_SINCE:
            return self.op("Shape", x, attributes={"start": 2})
        bounds = self.constant([2]), self.constant([np.iinfo(np.int64).max])
        return self.op("Slice", self.op("Shape", x), *bounds)

    def as_number(self, value: ir.Value) -> ir.Value:
        """Append a Reshape of a value of one element to the rank of the tape's numbers."""
        return self.op("Reshape", value, self.constant((1,) * self._rank))

    def reshape_like(self, flat: ir.Value, x: ir.Value) -> ir.Value:
        """Append a Reshape to x's shape: constant where at most one dimension is open."""
        shape = dims(x)
        known = [d if isinstance(d, int) else -1 for d in shape]
        if shape and known.count(-1) <= 1:
            return self.op("Reshape", flat, self.constant(known))
        return self.op("Reshape", flat, self.op("Shape", x))

    def cast(self, x: ir.Value, dtype: ir.DataType) -> ir.Value:
        """Append a Cast, and nothing where x is of that dtype."""
        if x.dtype == dtype:
            return x
        y = self.op("Cast", x, attributes={"to": dtype})
        y.shape, y.type = x.shape, ir.TensorType(dtype)
        return y

    def constant(self, value: Number, shape: Sequence[int] = ()) -> ir.Value:
        """Give an initializer: a float, the same in all of `shape`, an int64, or a vector."""
        array = array_of(value, shape, self.dtype)
        name = "_".join(["const", str(array.dtype), _content(value), *map(str, shape)])
        if name not in self._graph.initializers:
            self._graph.register_initializer(ir.val(name, const_value=ir.tensor(array, name=name)))
        return self._graph.initializers[name]

    def replace(self, node: ir.Node, output: ir.Value) -> None:
        """Put the collected nodes where `node` is; `output` takes over its result and name."""
        old = node.outputs[0]
        output.name, output.shape, output.type = old.name, old.shape, old.type
        ir.convenience.replace_nodes_and_values(
            self._graph, node, [node], self._nodes, [old], [output]
        )


def array_of(value: Number, shape: Sequence[int], dtype: ir.DataType) -> npt.NDArray[Any]:
    """Give a constant's array; `shape` is that of a number, a vector has its own."""
    kind = dtype.numpy() if _is_float(value) else np.dtype(np.int64)
    return np.asarray(value, kind) if isinstance(value, Sequence) else np.full(shape, value, kind)


def _content(value: Number) -> str:
    """Tell constants apart: a float from a vector of it, and so on."""
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int):
        return f"{value}_alone"
    return "_".join(map(str, value)) + ("_each" if _is_float(value) else "")


def _is_float(value: Number) -> bool:
    numbers = value if isinstance(value, Sequence) else (value,)
    return any(isinstance(number, float) for number in numbers)

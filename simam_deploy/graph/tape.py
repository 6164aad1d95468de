"""Emit a run of nodes in place of one, with the opset's own way of writing axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

AXES_AS_INPUT_SINCE = 18
"""ReduceMean (like ReduceMax, ReduceProd, ...) takes its axes as an input from this opset on."""
SHAPE_SLICES_SINCE = 15
"""Shape has the attributes start and end from this opset on."""


class Tape:
    """Collects nodes named after the one they replace; `replace` puts them in its stead.

    Values are named after its output, whose name, unlike a node's, is unique in any valid graph.

    Args:
        graph: The graph to change; constants become its initializers, shared by value.
        node: The node that will be replaced; its name prefixes those of the new ones.
        opset: The version of the default domain.
    """

    def __init__(self, graph: ir.Graph, node: ir.Node, opset: int) -> None:
        self._graph = graph
        self._output = node.outputs[0].name
        self._prefix = node.name or self._output
        self._dtype = node.outputs[0].dtype or ir.DataType.FLOAT
        self._opset = opset
        self._nodes: list[ir.Node] = []

    def op(
        self, op_type: str, *inputs: ir.Value, attributes: Mapping[str, Any] | None = None
    ) -> ir.Value:
        """Append one node with one output and return that output."""
        count = sum(n.op_type == op_type for n in self._nodes)
        role = f"{op_type}{f'_{count}' if count else ''}"
        name = f"{self._prefix}/{role}"
        node = ir.node(op_type, list(inputs), attributes=dict(attributes or {}), name=name)
        node.outputs[0].name = f"{self._output}/{role}"
        self._nodes.append(node)
        return node.outputs[0]

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

    def constant(self, value: float | np.floating[Any] | Sequence[int]) -> ir.Value:
        """Give an initializer: a float scalar in the node's dtype, numpy's own, or int64s."""
        if isinstance(value, np.floating):
            array = np.asarray(value)
        elif isinstance(value, float):
            array = np.asarray(value, dtype=self._dtype.numpy())
        else:
            array = np.asarray(value, dtype=np.int64)
        name = f"const_{array.dtype}_{'_'.join(str(v) for v in array.reshape(-1))}"
        if name not in self._graph.initializers:
            initializer = ir.Value(
                name=name,
                shape=ir.Shape(array.shape),
                type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
                const_value=ir.tensor(array, name=name),
            )
            self._graph.register_initializer(initializer)
        return self._graph.initializers[name]

    def replace(self, node: ir.Node, output: ir.Value) -> None:
        """Put the collected nodes where `node` is; `output` takes over its result and name."""
        old = node.outputs[0]
        output.name, output.shape, output.type = old.name, old.shape, old.type
        ir.convenience.replace_nodes_and_values(
            self._graph, node, [node], self._nodes, [old], [output]
        )

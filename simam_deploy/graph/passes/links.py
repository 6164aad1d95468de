"""How the nodes of a graph hang together, as the passes ask about it."""

from __future__ import annotations

import onnx_ir as ir


def only_use(value: ir.Value) -> tuple[ir.Node, int] | None:
    """Give the one node that reads a value, and as which of its inputs.

    None where there are more or none, or the value is a graph output.

    A use inside an If or a Loop is none either: the node there belongs to another graph.
    """
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    ((node, index),) = uses
    producer = value.producer()
    return (node, index) if producer is None or node.graph is producer.graph else None


def is_op(node: ir.Node | None, op_type: str) -> bool:
    """Tell whether a node is that op of the default domain."""
    return node is not None and node.domain == "" and node.op_type == op_type

"""Forget where a graph was traced: the exporter's notes hold paths of the machine it ran on."""

from __future__ import annotations

import onnx_ir as ir


def forget_origin(model: ir.Model) -> None:
    """Drop stack traces and module scopes from the graph and every node and value."""
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()

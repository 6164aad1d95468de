"""Forget where a graph was traced: the exporter's notes hold paths of the machine it ran on."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.core.onnx_metadata import METADATA_PREFIX


def forget_origin(model: ir.Model) -> None:
    """Drop stack traces and module scopes, and what an earlier export said of itself."""
    for key in [k for k in model.metadata_props if k.startswith(METADATA_PREFIX)]:
        del model.metadata_props[key]
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()

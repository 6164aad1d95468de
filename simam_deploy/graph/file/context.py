"""An engine inside an .onnx: a com.microsoft::EPContext node, which one provider alone runs."""

from __future__ import annotations

import onnx

from simam_deploy.errors import InputError

DOMAIN, OP = "com.microsoft", "EPContext"


def context_node(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """Give the first such node of a message; None where the graph can be read."""
    nodes = (node for node in model.graph.node if (node.domain, node.op_type) == (DOMAIN, OP))
    return next(nodes, None)


def source_of(node: onnx.NodeProto) -> str:
    """Name the provider that a node is for, as its `source` says."""
    said = (a.s.decode(errors="replace") for a in node.attribute if a.name == "source" and a.s)
    return next(said, "the execution provider that it was made for")


def refuse_context(model: onnx.ModelProto) -> None:
    """Refuse an engine, whose graph nobody can see.

    Raises:
        InputError: The message holds one.
    """
    node = context_node(model)
    if node is not None:
        raise InputError(
            f"it is an engine in an EPContext node, which only ONNX Runtime with "
            f"{source_of(node)} runs: simam-inspect shows what it is; give the .onnx or the "
            "checkpoint that it was made of"
        )

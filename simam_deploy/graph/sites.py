"""The nodes of the `simam` domain in a graph: SimAM, alone or with its epilogue."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy import op
from simam_deploy.artifacts import SimamSite


def simam_nodes(model: ir.Model) -> list[ir.Node]:
    """List the SimAM nodes of the main graph, fused or not, in its order."""
    return [n for n in model.graph if n.domain == op.DOMAIN and n.op_type in op.INPUTS]


def e_lambda_of(node: ir.Node) -> float:
    """Read a SimAM node's lambda."""
    return node.attributes[op.LAMBDA_ATTRIBUTE].as_float()


def clip_of(node: ir.Node) -> tuple[float, float]:
    """Read the bounds of a SimAM node's epilogue."""
    low, high = (node.attributes[name].as_float() for name in op.CLIP_ATTRIBUTES)
    return low, high


def describe_sites(model: ir.Model) -> tuple[SimamSite, ...]:
    """Name every SimAM node with the shape of its feature map."""
    return tuple(SimamSite(n.name or "", dims(n.inputs[0])) for n in simam_nodes(model))


def dims(value: ir.Value | None) -> tuple[int | str, ...]:
    """Give a value's shape, `?` for a dimension that nothing is known of, () without a shape."""
    if value is None or value.shape is None:
        return ()
    return tuple(d if isinstance(d, int) else d.value or "?" for d in value.shape)

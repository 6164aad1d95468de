"""The nodes of the `simam` domain in a graph: SimAM, alone or with its epilogue."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from simam_deploy.core.specs import SimamSite
from simam_deploy.errors import InputError
from simam_deploy.op import contract


def simam_nodes(model: ir.Model) -> list[ir.Node]:
    """List the SimAM nodes of the main graph, fused or not, in its order."""
    return [n for n in model.graph if n.domain == contract.DOMAIN and n.op_type in contract.INPUTS]


def e_lambda_of(node: ir.Node) -> float:
    """Read a SimAM node's lambda: the shortest decimal that its float32 attribute rounds from."""
    return float(str(np.float32(node.attributes[contract.LAMBDA_ATTRIBUTE].as_float())))


def check_sites(model: ir.Model) -> tuple[SimamSite, ...]:
    """Name every SimAM node with the shape of its feature map and its lambda.

    Raises:
        InputError: A map is known to be a single pixel, where the formula divides by zero.
    """
    sites = tuple(
        SimamSite(n.name or "", dims(n.inputs[0]), e_lambda_of(n)) for n in simam_nodes(model)
    )
    for site in sites:
        if site.shape[2:] == (1, 1):
            raise InputError(
                f"SimAM {site.name} sees a map of 1x1, where its formula divides by zero: "
                "take a larger input"
            )
    return sites


def clip_of(node: ir.Node) -> tuple[float, float]:
    """Read the bounds of a SimAM node's epilogue."""
    low, high = (node.attributes[name].as_float() for name in contract.CLIP_ATTRIBUTES)
    return low, high


def dims(value: ir.Value | None) -> tuple[int | str, ...]:
    """Give a value's shape, `?` for a dimension that nothing is known of, () without a shape."""
    if value is None or value.shape is None:
        return ()
    return tuple(d if isinstance(d, int) else d.value or "?" for d in value.shape)

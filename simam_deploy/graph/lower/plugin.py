"""The lowering for TensorRT's plugin: the function's nodes, marked so that TensorRT finds it.

TensorRT looks a node's type up among its plugins, by version and namespace. Named in the node's
attributes, they work from 10.9 on, and TensorRT-RTX 1.7 prefers the plugin to the function body
only then. ONNX Runtime and onnx's checker pass over attributes that a function does not declare,
so that one file serves all.
"""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.lower.function import lower_function
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op import contract


def lower_plugin(model: ir.Model) -> int:
    """Lower as `lower_function` does and name the plugin in every SimAM node.

    Returns:
        How many nodes there are.

    Raises:
        UsageError: The model's opset is below 18.
    """
    count = lower_function(model)
    for node in simam_nodes(model):
        node.attributes.update(
            {k: ir.AttrString(k, v) for k, v in contract.PLUGIN_ATTRIBUTES.items()}
        )
    return count

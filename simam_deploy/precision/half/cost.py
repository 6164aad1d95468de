"""What a half type must cost a network, told without converting it."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.recognise import recognise
from simam_deploy.precision.half.layers import layers
from simam_deploy.precision.rounding import round_value


def round_layers(model: ir.Model, dtype: ir.DataType) -> None:
    """Round to `dtype` what every layer, SimAM and skip connection hands on, in place.

    That is the least a half network does: each map between two of them is stored in half. The
    change it makes to the outputs, against the graph without, is the cost of the precision; a
    conversion is right if its own is within a small factor of that.

    Args:
        model: Float32, its values typed; SimAM in plain ops or one node a site.
        dtype: FLOAT16 or BFLOAT16.
    """
    sites = [site for site in recognise(model).sites if not site.gate_only]
    inside = {node for site in sites for node in site.nodes}
    sums = [n for n in model.graph if n.op_type == "Add" and n not in inside]
    outputs = [node.outputs[0] for node in (*layers(model), *sums)]
    for value in dict.fromkeys([*outputs, *(site.y for site in sites)]):
        round_value(model.graph, value, dtype)

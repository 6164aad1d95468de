"""What a half type must cost a network, told without converting it."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.precision.layers import layers
from simam_deploy.graph.precision.rounding import round_value
from simam_deploy.graph.recognise import recognise


def round_layers(model: ir.Model, dtype: ir.DataType) -> None:
    """Round to `dtype` what every layer and SimAM of a float32 graph hands on, in place.

    That is the least a half network does: each map between two layers is stored in half. The
    change it makes to the outputs, against the graph without, is the cost of the precision; a
    conversion is right if its own is within a small factor of that.

    Args:
        model: Float32, its values typed; SimAM in plain ops or one node a site.
        dtype: FLOAT16 or BFLOAT16.
    """
    sites = [site.y for site in recognise(model).sites if not site.gate_only]
    for value in dict.fromkeys([*(node.outputs[0] for node in layers(model)), *sites]):
        round_value(model.graph, value, dtype)

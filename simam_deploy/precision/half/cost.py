"""What a half type must cost a network, told without converting it."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from simam_deploy.graph.recognise import recognise
from simam_deploy.precision.half.known import constant_values
from simam_deploy.precision.half.layers import LAYERS, layers
from simam_deploy.precision.half.placement import unfit
from simam_deploy.precision.rounding import round_value

_STORED = LAYERS | {
    "Add", "AveragePool", "GlobalAveragePool", "GroupNormalization", "InstanceNormalization",
    "LayerNormalization", "RMSNormalization", "ReduceMean", "Softmax",
}  # fmt: skip
"""Without the AveragePool before an attention, a correct bfloat16 is 4.5 times the cost told."""


def round_layers(model: ir.Model, dtype: ir.DataType) -> None:
    """Round to `dtype` what every layer, SimAM and skip connection is given and hands on, in place.

    That is the least a half network does: its weights are stored in half, and so is each map
    between two of them. Layers are here products of two maps, averages, normalisations and a
    Softmax as well, as attention has them. The change it makes to the outputs, against the graph
    without, is the cost of the precision; a conversion is right if its own is within a small
    factor of that.

    Args:
        model: Float32, its values typed; SimAM in plain ops or one node a site. Sums of integers,
            as of sizes that are computed from Shapes, stay what they are.
        dtype: FLOAT16 or BFLOAT16.
    """
    constants = constant_values(model.graph)
    sites = [site for site in recognise(model).sites if not site.gate_only]
    inside = {node for site in sites for node in site.nodes}
    stored = [n for n in model.graph if n.op_type in _STORED and not n.domain and n not in inside]
    made = [n.outputs[0] for n in stored if n.outputs[0] not in constants]
    for value in dict.fromkeys([*_weights(model, dtype), *made, *(site.y for site in sites)]):
        if value.dtype == ir.DataType.FLOAT:
            round_value(model.graph, value, dtype)


def _weights(model: ir.Model, dtype: ir.DataType) -> Iterator[ir.Value]:
    """Yield the weights that half can hold, batch norm's apart: they stay float32."""
    for node in layers(model):
        for value in node.inputs[1:] if node.op_type != "BatchNormalization" else ():
            tensor = value.const_value if value is not None else None
            if value is not None and tensor is not None and not unfit(tensor, dtype):
                yield value

"""Fold a BatchNormalization forward into the convolution that reads it.

Where BN stands *behind* a convolution the exporter's own optimiser has folded it already. This is
the other direction: y = conv(a * x + b) = conv'(x) with w' = w * a and bias' = bias + sum(w * b),
found behind the ReLU of WeSpeaker's attentive pooling.

Rules:
    1. The BN's output has one reader, an ungrouped Conv, and is no graph output.
    2. The Conv pads nothing: padding stands for zeros of the BN's output, not of its input.
    3. The BN's statistics and the Conv's weights are initializers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from simam_deploy.graph.values import add_initializer

Array = npt.NDArray[Any]


def fold_bn_forward(model: ir.Model) -> int:
    """Fold every BN that the rules allow.

    Returns:
        How many were folded.
    """
    count = 0
    for bn in [n for n in model.graph if n.domain == "" and n.op_type == "BatchNormalization"]:
        conv = _reader(bn)
        if conv is not None and _constant(bn.inputs[1:]) and _constant(conv.inputs[1:]):
            _fold(model.graph, bn, conv)
            count += 1
    return count


def _reader(bn: ir.Node) -> ir.Node | None:
    """Give the Conv that alone reads the BN, where folding into it is exact."""
    out = bn.outputs[0]
    uses = list(out.uses())
    if out.is_graph_output() or len(uses) != 1 or uses[0].idx != 0:
        return None
    conv = uses[0].node
    if conv.op_type != "Conv" or conv.domain != "":
        return None
    pads = conv.attributes.get("pads")
    group = conv.attributes.get("group")
    auto_pad = conv.attributes.get("auto_pad")
    plain = (
        (pads is None or not any(pads.as_ints()))
        and (group is None or group.as_int() == 1)
        and (auto_pad is None or auto_pad.as_string() in ("NOTSET", "VALID"))
    )
    return conv if plain else None


def _constant(values: Any) -> bool:
    """Tell whether every value that is given is an initializer."""
    return all(v is None or v.const_value is not None for v in values)


def _numpy(value: ir.Value | None) -> Array:
    assert value is not None and value.const_value is not None
    return value.const_value.numpy().astype(np.float64)


def _fold(graph: ir.Graph, bn: ir.Node, conv: ir.Node) -> None:
    """Rewrite the Conv's weights in float64 and take the BN out."""
    gamma, beta, mean, var = (_numpy(v) for v in bn.inputs[1:5])
    epsilon = bn.attributes["epsilon"].as_float() if "epsilon" in bn.attributes else 1e-5
    scale = gamma / np.sqrt(var + epsilon)
    shift = beta - mean * scale
    weight = _numpy(conv.inputs[1])
    per_input = (1, -1) + (1,) * (weight.ndim - 2)
    bias = _numpy(conv.inputs[2]) if len(conv.inputs) > 2 and conv.inputs[2] else 0.0
    added = (weight * shift.reshape(per_input)).reshape(len(weight), -1).sum(axis=1)
    name = conv.name or bn.name or "conv"
    conv.resize_inputs(3)
    conv.replace_input_with(0, bn.inputs[0])
    folded = {1: ("weight", weight * scale.reshape(per_input)), 2: ("bias", bias + added)}
    for index, (role, array) in folded.items():
        initializer = add_initializer(graph, f"{name}/folded_{role}", array.astype(np.float32))
        conv.replace_input_with(index, initializer)
    graph.remove(bn, safe=True)

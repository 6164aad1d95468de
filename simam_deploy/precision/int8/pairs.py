"""Write QuantizeLinear/DequantizeLinear into a graph, as TensorRT wants them.

Both are symmetric (zero points 0, which TensorRT insists on). An activation has one scale and one
pair, which all its quantised readers share; weights are stored in int8 with a scale for each
output channel or for all, and only dequantised.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from simam_deploy.precision.int8.histogram import LEVELS
from simam_deploy.precision.int8.placement import Placement

WEIGHT_SUFFIX, SCALE_SUFFIX = "/int8", "/scale"


def insert_pairs(graph: ir.Graph, placement: Placement, ranges: Mapping[str, float]) -> None:
    """Let the placement's reads and weights go through int8, in place.

    Args:
        graph: The float32 graph that the placement is of.
        placement: Which reads.
        ranges: By tensor name, the magnitude that becomes 127.
    """
    zero = _constant(graph, "int8/zero", np.zeros((), np.int8))
    pairs = {t: _pair(graph, t, ranges[t.name or ""], zero) for t in placement.tensors}
    for node, index in placement.reads:
        value = node.inputs[index]
        assert value is not None
        node.replace_input_with(index, pairs[value])
    by_tensor = placement.weights
    weights: dict[ir.Value, ir.Value] = {}
    for layer in placement.layers:
        weight = layer.inputs[1]
        assert weight is not None
        if weight not in weights:
            weights[weight] = _dequantised(graph, weight, layer, by_tensor[weight])
        layer.replace_input_with(1, weights[weight])


def _pair(graph: ir.Graph, tensor: ir.Value, limit: float, zero: ir.Value) -> ir.Value:
    """Put a pair behind a tensor and give what comes out."""
    scale = _constant(graph, f"{tensor.name}{SCALE_SUFFIX}", np.float32(limit / LEVELS))
    down = ir.node("QuantizeLinear", [tensor, scale, zero], name=f"{tensor.name}/quantise")
    up = ir.node(
        "DequantizeLinear", [down.outputs[0], scale, zero], name=f"{tensor.name}/dequantise"
    )
    _describe(down.outputs[0], f"{tensor.name}{WEIGHT_SUFFIX}", tensor, ir.DataType.INT8)
    _describe(up.outputs[0], f"{tensor.name}/dequantised", tensor, ir.DataType.FLOAT)
    producer = tensor.producer()
    if producer is None:
        graph.insert_before(graph[0], [down, up])
    else:
        graph.insert_after(producer, [down, up])
    return up.outputs[0]


def _dequantised(graph: ir.Graph, weight: ir.Value, layer: ir.Node, by_tensor: bool) -> ir.Value:
    """Store a weight in int8, the old one goes with the next tidying; give it dequantised."""
    tensor = weight.const_value
    assert tensor is not None
    scale = weight_scales(tensor.numpy(), by_tensor)
    small = ir.LazyTensor(
        partial(_quantised, tensor, scale),
        dtype=ir.DataType.INT8,
        shape=ir.Shape(tensor.shape.numpy()),
        name=f"{weight.name}{WEIGHT_SUFFIX}",
    )
    stored = ir.val(small.name or "", const_value=small)
    graph.register_initializer(stored)
    inputs = [
        stored,
        _constant(graph, f"{weight.name}{SCALE_SUFFIX}", scale),
        _constant(graph, f"{weight.name}/zero", np.zeros(scale.shape, np.int8)),
    ]
    axis = {} if by_tensor else {"axis": 0}
    node = ir.node("DequantizeLinear", inputs, attributes=axis, name=f"{weight.name}/dequantise")
    _describe(node.outputs[0], f"{weight.name}/dequantised", weight, ir.DataType.FLOAT)
    graph.insert_before(layer, node)
    return node.outputs[0]


def weight_scales(weight: npt.NDArray[np.float32], by_tensor: bool) -> npt.NDArray[np.float32]:
    """Give the step of each output channel (axis 0), or of all: the largest magnitude over 127.

    What is zero throughout, as pruning leaves channels, has the step 1: TensorRT takes none of 0.

    Returns:
        float32 (channels,), or () for one step.
    """
    magnitudes = np.abs(weight).reshape(len(weight), -1)
    largest = magnitudes.max() if by_tensor else magnitudes.max(axis=1)
    return np.asarray(np.where(largest > 0, largest / LEVELS, 1), np.float32)


def _quantised(tensor: ir.TensorProtocol, scale: npt.NDArray[np.float32]) -> ir.TensorProtocol:
    weight = tensor.numpy()
    steps = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return ir.tensor(np.clip(steps, -LEVELS, LEVELS).astype(np.int8))


def _constant(graph: ir.Graph, name: str, array: npt.ArrayLike) -> ir.Value:
    value = ir.val(name, const_value=ir.tensor(np.asarray(array), name=name))
    graph.register_initializer(value)
    return value


def _describe(value: ir.Value, name: str, like: ir.Value, dtype: ir.DataType) -> None:
    value.name, value.shape, value.type = name, like.shape, ir.TensorType(dtype)

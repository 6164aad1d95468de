"""Write QuantizeLinear/DequantizeLinear into a graph, as TensorRT wants them.

Both are symmetric (zero points 0, which TensorRT insists on). An activation has one scale and one
pair, which all its quantised readers share; weights are stored in eight bits with a scale for
each output channel or for all, and only dequantised.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from simam_deploy.graph.passes.links import is_op
from simam_deploy.precision.int8.formats import Format
from simam_deploy.precision.int8.placement import Placement

_FLOAT = ir.DataType.FLOAT


def insert_pairs(graph: ir.Graph, placement: Placement, ranges: Mapping[str, float]) -> None:
    """Let the placement's reads and weights go through its numbers, in place.

    Args:
        graph: The float32 graph that the placement is of.
        placement: Which reads.
        ranges: By tensor name, the magnitude that becomes the largest of the numbers.
    """
    numbers = placement.numbers
    pairs = {t: _pair(graph, t, ranges[t.name or ""], numbers) for t in placement.tensors}
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
            weights[weight] = _dequantised(graph, weight, layer, by_tensor[weight], numbers)
        layer.replace_input_with(1, weights[weight])


def _pair(graph: ir.Graph, tensor: ir.Value, limit: float, numbers: Format) -> ir.Value:
    """Put a pair behind a tensor and give what comes out."""
    zero = _zero(graph, numbers)
    scale = _constant(graph, f"{tensor.name}/scale", np.float32(limit / numbers.largest))
    down = ir.node("QuantizeLinear", [tensor, scale, zero], name=f"{tensor.name}/quantise")
    up = ir.node(
        "DequantizeLinear", [down.outputs[0], scale, zero], name=f"{tensor.name}/dequantise"
    )
    _describe(down.outputs[0], f"{tensor.name}/{numbers.name}", tensor, numbers.dtype)
    _describe(up.outputs[0], f"{tensor.name}/dequantised", tensor, _FLOAT)
    producer = tensor.producer()
    if producer is None:
        graph.insert_before(graph[0], [down, up])
    else:
        graph.insert_after(producer, [down, up])
        if not numbers.is_even:
            _spell_out(graph, producer)
    return up.outputs[0]


def _spell_out(graph: ir.Graph, node: ir.Node) -> None:
    """Write a Relu or Clip as Max and Min, in place.

    In front of a QuantizeLinear to FP8 ONNX Runtime 1.32 leaves a Relu out, as if no number of the
    type were below 0 (the digits network then classifies 13 % right), and refuses a Clip. To
    TensorRT-RTX they are the same.
    """
    if is_op(node, "Relu"):
        zero = _constant(graph, f"{node.outputs[0].name}/least", np.float32(0))
        node.op_type = "Max"
        node.resize_inputs(2)
        node.replace_input_with(1, zero)
    elif is_op(node, "Clip") and all(value is not None for value in node.inputs[1:3]):
        value, least, most = node.inputs
        above = ir.node("Max", [value, least], name=f"{node.name}/least")
        _describe(above.outputs[0], f"{node.outputs[0].name}/above", node.outputs[0], _FLOAT)
        graph.insert_before(node, above)
        node.op_type = "Min"
        node.resize_inputs(2)
        node.replace_input_with(0, above.outputs[0])
        node.replace_input_with(1, most)


def _dequantised(
    graph: ir.Graph, weight: ir.Value, layer: ir.Node, by_tensor: bool, numbers: Format
) -> ir.Value:
    """Store a weight in eight bits, the old one goes with the next tidying; give it dequantised."""
    tensor = weight.const_value
    assert tensor is not None
    scale = weight_scales(tensor.numpy(), by_tensor, numbers)
    small = ir.LazyTensor(
        partial(_quantised, tensor, scale, numbers),
        dtype=numbers.dtype,
        shape=ir.Shape(tensor.shape.numpy()),
        name=f"{weight.name}/{numbers.name}",
    )
    stored = ir.val(small.name or "", const_value=small)
    graph.register_initializer(stored)
    inputs = [
        stored,
        _constant(graph, f"{weight.name}/scale", scale),
        _constant(graph, f"{weight.name}/zero", np.zeros(scale.shape, numbers.dtype.numpy())),
    ]
    axis = {} if by_tensor else {"axis": 0}
    node = ir.node("DequantizeLinear", inputs, attributes=axis, name=f"{weight.name}/dequantise")
    _describe(node.outputs[0], f"{weight.name}/dequantised", weight, _FLOAT)
    graph.insert_before(layer, node)
    return node.outputs[0]


def weight_scales(
    weight: npt.NDArray[np.float32], by_tensor: bool, numbers: Format
) -> npt.NDArray[np.float32]:
    """Give the scale of each output channel (axis 0), or of all: by it the largest is the format's.

    What is zero throughout, as pruning leaves channels, has the scale 1: TensorRT takes none of 0.

    Returns:
        float32 (channels,), or () for one scale.
    """
    magnitudes = np.abs(weight).reshape(len(weight), -1)
    largest = magnitudes.max() if by_tensor else magnitudes.max(axis=1)
    return np.asarray(np.where(largest > 0, largest / numbers.largest, 1), np.float32)


def _quantised(
    tensor: ir.TensorProtocol, scale: npt.NDArray[np.float32], numbers: Format
) -> ir.TensorProtocol:
    weight = tensor.numpy()
    return ir.tensor(numbers.stored(weight / scale.reshape(-1, *[1] * (weight.ndim - 1))))


def _zero(graph: ir.Graph, numbers: Format) -> ir.Value:
    """Give the zero point that all pairs share."""
    name = f"{numbers.name}/zero"
    known = graph.initializers.get(name)
    return known or _constant(graph, name, np.zeros((), numbers.dtype.numpy()))


def _constant(graph: ir.Graph, name: str, array: npt.ArrayLike) -> ir.Value:
    value = ir.val(name, const_value=ir.tensor(np.asarray(array), name=name))
    graph.register_initializer(value)
    return value


def _describe(value: ir.Value, name: str, like: ir.Value, dtype: ir.DataType) -> None:
    value.name, value.shape, value.type = name, like.shape, ir.TensorType(dtype)

"""Disturb a float32 graph as quantisation to int8 would, without quantising anything.

Rounding to steps of s is, to what follows, as good as adding numbers drawn evenly from
[-s/2, s/2] (Widrow's model); zeros are exact in int8 and stay. Beyond its range a value is
clipped. It shares no code with the conversion, and so none of its mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx_ir as ir

from simam_deploy.precision.int8.histogram import LEVELS
from simam_deploy.precision.int8.placement import Placement


def disturb(model: ir.Model, placement: Placement, ranges: Mapping[str, float], seed: int) -> None:
    """Add the noise to every read and weight of the placement, in place.

    Args:
        model: Float32.
        placement: Of this model.
        ranges: By tensor name, the magnitude that is the largest int8.
        seed: One instance of noise each.
    """
    for number, tensor in enumerate(placement.tensors):
        noisy = _noisy(model.graph, tensor, ranges[tensor.name or ""], 1000 * seed + number)
        for node, index in placement.reads:
            if node.inputs[index] is tensor:
                node.replace_input_with(index, noisy)
    weights = dict.fromkeys(layer.inputs[1] for layer in placement.layers)
    for number, weight in enumerate(weights):
        assert weight is not None and weight.const_value is not None
        weight.const_value = ir.LazyTensor(
            partial(_drawn, weight.const_value, np.random.default_rng([seed, number])),
            dtype=ir.DataType.FLOAT,
            shape=ir.Shape(weight.const_value.shape.numpy()),
            name=weight.name,
        )


def _drawn(tensor: ir.TensorProtocol, rng: np.random.Generator) -> ir.TensorProtocol:
    """Move each weight by up to half a step of its channel."""
    weight = tensor.numpy()
    channels = weight.reshape(len(weight), -1)
    step = np.abs(channels).max(axis=1, keepdims=True) / LEVELS
    noise = step * rng.uniform(-0.5, 0.5, channels.shape) * (channels != 0)
    return ir.tensor((channels + noise).astype(np.float32).reshape(weight.shape))


def _noisy(graph: ir.Graph, tensor: ir.Value, limit: float, seed: int) -> ir.Value:
    """Put clip(x) + sign(|x|) * noise behind a tensor and give it."""
    half = limit / LEVELS / 2
    clipped = ir.node("Clip", [tensor, _scalar(graph, -limit), _scalar(graph, limit)])
    draw = {"low": -half, "high": half, "seed": float(seed), "dtype": ir.DataType.FLOAT}
    noise = ir.node("RandomUniformLike", [tensor], attributes=draw)
    size = ir.node("Abs", [tensor])
    sign = ir.node("Sign", size.outputs)
    masked = ir.node("Mul", [noise.outputs[0], sign.outputs[0]])
    total = ir.node("Add", [clipped.outputs[0], masked.outputs[0]])
    nodes = [clipped, noise, size, sign, masked, total]
    for node in nodes:
        node.outputs[0].shape, node.outputs[0].type = tensor.shape, tensor.type
        node.outputs[0].name = f"{tensor.name}/noise/{node.op_type}"
    producer = tensor.producer()
    if producer is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(producer, nodes)
    return total.outputs[0]


def _scalar(graph: ir.Graph, number: float) -> ir.Value:
    name = f"noise/limit{len(graph.initializers)}"
    value = ir.val(name, const_value=ir.tensor(np.float32(number), name=name))
    graph.register_initializer(value)
    return value

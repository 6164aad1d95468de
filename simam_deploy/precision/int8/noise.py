"""Disturb a float32 graph as quantisation to int8 would, without quantising anything.

Each quantised tensor and weight is clipped to its range and rounded to some 127 steps of it, in
float32: a draw takes a few steps more or fewer, so that values of more than some ten steps round
independently of what another draw does, as even noise would (Widrow's model). Smaller ones do not:
what is nearly zero becomes zero in every draw, and noise that is drawn evenly knows nothing of it.
A yolov8n's SiLU makes many such: of one of its cells even noise expected a common factor of 5.89e-3
at the most, and a correct conversion has 5.97e-3. It shares no code with the conversion, and so
none of its mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.precision.int8.histogram import LEVELS
from simam_deploy.precision.int8.placement import Placement

APART = 4
"""Steps more or fewer than 127, at the most. Of 12, a draw costs a yolov8n 1.3 times what int8
does: the range was chosen for 127."""


def disturb(model: ir.Model, placement: Placement, ranges: Mapping[str, float], seed: int) -> None:
    """Round every read and weight of the placement, in place.

    Args:
        model: Float32.
        placement: Of this model.
        ranges: By tensor name, the magnitude that is the largest int8.
        seed: One draw each.
    """
    for number, tensor in enumerate(placement.tensors):
        limit = ranges[tensor.name or ""]
        step = limit / int(_levels(np.random.default_rng([seed, 0, number])))
        rounded = _rounded(model.graph, tensor, limit, step)
        for node, index in placement.reads:
            if node.inputs[index] is tensor:
                node.replace_input_with(index, rounded)
    for number, (weight, by_tensor) in enumerate(placement.weights.items()):
        assert weight.const_value is not None
        rng = np.random.default_rng([seed, 1, number])
        weight.const_value = ir.LazyTensor(
            partial(_drawn, weight.const_value, rng, by_tensor),
            dtype=ir.DataType.FLOAT,
            shape=ir.Shape(weight.const_value.shape.numpy()),
            name=weight.name,
        )


def _drawn(
    tensor: ir.TensorProtocol, rng: np.random.Generator, by_tensor: bool
) -> ir.TensorProtocol:
    """Round each weight to steps of its channel's own, or of the tensor's."""
    weight = tensor.numpy()
    channels = weight.reshape(1 if by_tensor else len(weight), -1)
    largest = np.abs(channels).max(axis=1, keepdims=True)
    step = np.where(largest > 0, largest, 1) / _levels(rng, largest.shape)
    rounded = np.rint(channels / step) * step
    return ir.tensor(rounded.astype(np.float32).reshape(weight.shape))


def _levels(rng: np.random.Generator, shape: tuple[int, ...] = ()) -> Array:
    return np.asarray(rng.integers(LEVELS - APART, LEVELS + APART, shape, endpoint=True))


def _rounded(graph: ir.Graph, tensor: ir.Value, limit: float, step: float) -> ir.Value:
    """Put round(clip(x) / step) * step behind a tensor and give it."""
    width = _scalar(graph, step)
    clipped = ir.node("Clip", [tensor, _scalar(graph, -limit), _scalar(graph, limit)])
    steps = ir.node("Div", [clipped.outputs[0], width])
    whole = ir.node("Round", steps.outputs)
    back = ir.node("Mul", [whole.outputs[0], width])
    nodes = [clipped, steps, whole, back]
    for node in nodes:
        node.outputs[0].shape, node.outputs[0].type = tensor.shape, tensor.type
        node.outputs[0].name = f"{tensor.name}/rounded/{node.op_type}"
    producer = tensor.producer()
    if producer is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(producer, nodes)
    return back.outputs[0]


def _scalar(graph: ir.Graph, number: float) -> ir.Value:
    name = f"rounded/constant{len(graph.initializers)}"
    value = ir.val(name, const_value=ir.tensor(np.float32(number), name=name))
    graph.register_initializer(value)
    return value

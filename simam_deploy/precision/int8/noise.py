"""Disturb a float32 graph as quantisation to eight bits would, without quantising anything.

Each quantised tensor and weight is clipped to its range and rounded to some 127 steps of it, in
float32: a draw takes a few steps more or fewer, so that values of more than some ten steps round
independently of what another draw does, as even noise would (Widrow's model). Smaller ones do not:
what is nearly zero becomes zero in every draw, and noise that is drawn evenly knows nothing of it.
A yolov8n's SiLU makes many such: of one of its cells even noise expected a common factor of 5.89e-3
at the most, and a correct conversion has 5.97e-3. It shares no code with the conversion, and so
none of its mistakes.

For FP8 the steps are E4M3's, 8 to 16 in an octave, and a draw stretches the range by up to 9 % each
way, which moves a value by about a step. Four bits of a float32 u are c - (c - u), with
c = (2^20 + 1) u (Veltkamp's splitting, in Dekker, "A floating-point technique for extending the
available precision", Numer. Math. 18, 1971); below 2^-6 steps are 2^-9.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.precision.int8.placement import Placement

APART = 4
"""Steps more or fewer than 127, at the most. Of 12, a draw costs a yolov8n 1.3 times what int8
does: the range was chosen for 127."""
STRETCH = 0.125
"""Octaves that the range of FP8 is stretched by, at the most."""
_SPLIT = 2.0**20 + 1
_LEAST_NORMAL, _LEAST_STEP = 2.0**-6, 2.0**-9
_LARGEST = {"int8": 127, "fp8": 448}


def disturb(model: ir.Model, placement: Placement, ranges: Mapping[str, float], seed: int) -> None:
    """Round every read and weight of the placement, in place.

    Args:
        model: Float32.
        placement: Of this model.
        ranges: By tensor name, the magnitude that is the largest int8.
        seed: One draw each.
    """
    numbers = placement.numbers.name
    for number, tensor in enumerate(placement.tensors):
        limit, rng = ranges[tensor.name or ""], np.random.default_rng([seed, 0, number])
        rounded = _put_behind(model.graph, tensor, limit, float(_levels(rng, numbers)), numbers)
        for node, index in placement.reads:
            if node.inputs[index] is tensor:
                node.replace_input_with(index, rounded)
    for number, (weight, by_tensor) in enumerate(placement.weights.items()):
        assert weight.const_value is not None
        rng = np.random.default_rng([seed, 1, number])
        weight.const_value = ir.LazyTensor(
            partial(_drawn, weight.const_value, rng, by_tensor, numbers),
            dtype=ir.DataType.FLOAT,
            shape=ir.Shape(weight.const_value.shape.numpy()),
            name=weight.name,
        )


def _drawn(
    tensor: ir.TensorProtocol, rng: np.random.Generator, by_tensor: bool, numbers: str
) -> ir.TensorProtocol:
    """Round each weight to steps of its channel's own, or of the tensor's."""
    weight = tensor.numpy()
    channels = weight.reshape(1 if by_tensor else len(weight), -1)
    largest = np.abs(channels).max(axis=1, keepdims=True)
    step = np.where(largest > 0, largest, 1) / _levels(rng, numbers, largest.shape)
    rounded = _on_grid(channels / step, numbers) * step
    return ir.tensor(rounded.astype(np.float32).reshape(weight.shape))


def _levels(rng: np.random.Generator, numbers: str, shape: tuple[int, ...] = ()) -> Array:
    """Draw how many units the range has."""
    largest = _LARGEST[numbers]
    if numbers == "fp8":
        return largest * 2 ** rng.uniform(-STRETCH, STRETCH, shape)
    return np.asarray(rng.integers(largest - APART, largest + APART, shape, endpoint=True))


def _on_grid(values: Array, numbers: str) -> Array:
    """Round to the format's steps, whatever the magnitude."""
    if numbers == "int8":
        return np.rint(values)
    _, exponents = np.frexp(values)  # |u| is below 2^exponent, and at least half of that
    steps: Array = np.maximum(np.ldexp(1.0, exponents - 4), _LEAST_STEP)
    return np.rint(values / steps) * steps


def _put_behind(
    graph: ir.Graph, tensor: ir.Value, limit: float, levels: float, numbers: str
) -> ir.Value:
    """Put grid(clip(x) / unit) * unit behind a tensor, the unit being limit / levels; give it."""
    chain = _Chain(graph, tensor)
    unit = chain.scalar(limit / levels)
    clipped = chain.op("Clip", tensor, chain.scalar(-limit), chain.scalar(limit))
    units = chain.op("Div", clipped, unit)
    rounded = chain.op("Round", units) if numbers == "int8" else _float_grid(chain, units)
    result = chain.op("Mul", rounded, unit)
    chain.insert()
    return result


def _float_grid(chain: _Chain, units: ir.Value) -> ir.Value:
    """Round to E4M3's steps."""
    split = chain.op("Mul", units, chain.scalar(_SPLIT))
    normal = chain.op("Sub", split, chain.op("Sub", split, units))
    step = chain.scalar(_LEAST_STEP)
    small = chain.op("Mul", chain.op("Round", chain.op("Div", units, step)), step)
    is_small = chain.op("Less", chain.op("Abs", units), chain.scalar(_LEAST_NORMAL))
    return chain.op("Where", is_small, small, normal)


class _Chain:
    """Nodes to be put behind a tensor, all results of its shape."""

    def __init__(self, graph: ir.Graph, tensor: ir.Value) -> None:
        self._graph, self._tensor = graph, tensor
        self._nodes: list[ir.Node] = []

    def op(self, op_type: str, *inputs: ir.Value) -> ir.Value:
        """Add a node and give its result."""
        node = ir.node(op_type, inputs)
        (result,) = node.outputs
        kind = ir.TensorType(ir.DataType.BOOL) if op_type == "Less" else self._tensor.type
        result.shape, result.type = self._tensor.shape, kind
        result.name = f"{self._tensor.name}/rounded/{len(self._nodes)}"
        self._nodes.append(node)
        return result

    def scalar(self, number: float) -> ir.Value:
        """Give a constant."""
        return _scalar(self._graph, number)

    def insert(self) -> None:
        """Put the nodes into the graph."""
        producer = self._tensor.producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], self._nodes)
        else:
            self._graph.insert_after(producer, self._nodes)


def _scalar(graph: ir.Graph, number: float) -> ir.Value:
    name = f"rounded/constant{len(graph.initializers)}"
    value = ir.val(name, const_value=ir.tensor(np.float32(number), name=name))
    graph.register_initializer(value)
    return value

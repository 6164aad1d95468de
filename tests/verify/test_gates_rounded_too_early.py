"""A gate with one rounding too many inside: the faintest fault that a gate's bound must tell."""

import onnx_ir as ir
import pytest

from simam_deploy.verify.gates import check_gates
from tests.precision.half.graphs import BF16, FP16, planes
from tests.verify.test_gates import converted, sample

HALVES = pytest.mark.parametrize("dtype", [FP16, BF16], ids=["float16", "bfloat16"])
SIZE = (112, 112)


def round_sigmoid_input(graph: ir.Model, dtype: ir.DataType) -> None:
    """Cast what the Sigmoid reads to half and back, as a Cast that slipped past one node does."""
    (sigmoid,) = [node for node in graph.graph if node.op_type == "Sigmoid"]
    (exponent,) = sigmoid.inputs
    down = cast(exponent, dtype)
    up = cast(down.outputs[0], ir.DataType.FLOAT)
    graph.graph.insert_before(sigmoid, [down, up])
    sigmoid.replace_input_with(0, up.outputs[0])


def cast(value: ir.Value, dtype: ir.DataType) -> ir.Node:
    output = ir.Value(type=ir.TensorType(dtype), shape=value.shape)
    return ir.node("Cast", [value], {"to": dtype}, outputs=[output])


@HALVES
def test_a_gate_whose_exponent_is_rounded_to_half(dtype):
    """Half a unit for y, and (1 - gate) times half a unit of the exponent: 0.63 at the most.

    The exponent d^2 / 4(v + lambda) + 0.5 is off by up to 2^-2 units of the gate's type where it
    lies between 1/2 and 1, twice that between 1 and 2, and the gate is 0.62 and 0.73 there.
    """
    samples = sample(planes("std 5", *SIZE))
    right, wrong = converted(*SIZE, dtype), converted(*SIZE, dtype)
    round_sigmoid_input(wrong, dtype)
    (ours,) = check_gates(samples, right, dtype)
    (faulty,) = check_gates(samples, wrong, dtype)
    assert ours.passed
    assert faulty.error_ulps < 0.64
    assert not faulty.passed, faulty

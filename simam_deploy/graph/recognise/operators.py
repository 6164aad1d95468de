"""The table of the operators that SimAM is written with."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from simam_deploy.graph.recognise import arithmetic, reductions, views
from simam_deploy.graph.recognise.forms import Form
from simam_deploy.graph.recognise.scene import Scene

_UNARY: dict[str, Callable[[ir.Node, ir.Value, Scene], Form | None]] = {
    "Cast": views.cast,
    "CastLike": views.cast,
    "Dropout": views.dropout,
    "Expand": views.expand,
    "Flatten": views.reshape,
    "GlobalAveragePool": reductions.global_average,
    "Identity": views.cast,
    "InstanceNormalization": reductions.instance_norm,
    "Neg": arithmetic.neg,
    "Reciprocal": arithmetic.reciprocal,
    "ReduceMean": reductions.reduce_mean,
    "ReduceSum": reductions.reduce_sum,
    "ReduceSumSquare": reductions.reduce_sum_square,
    "Reshape": views.reshape,
    "Sqrt": arithmetic.sqrt,
    "Squeeze": views.reshape,
    "Unsqueeze": views.reshape,
    # SimAM gates by a sigmoid; by anything else it is a near-miss.
    "Clip": arithmetic.activation,
    "Elu": arithmetic.activation,
    "Erf": arithmetic.activation,
    "Gelu": arithmetic.activation,
    "HardSigmoid": arithmetic.activation,
    "HardSwish": arithmetic.activation,
    "LeakyRelu": arithmetic.activation,
    "Mish": arithmetic.activation,
    "Relu": arithmetic.activation,
    "Sigmoid": arithmetic.activation,
    "Softmax": arithmetic.activation,
    "Softplus": arithmetic.activation,
    "Softsign": arithmetic.activation,
    "Tanh": arithmetic.activation,
}

_BINARY: dict[str, Callable[[ir.Node, ir.Value, ir.Value, Scene], Form | None]] = {
    "Add": arithmetic.add,
    "Div": arithmetic.div,
    "Mul": arithmetic.mul,
    "Pow": arithmetic.pow_,
    "Sub": arithmetic.sub,
}


def read(node: ir.Node, scene: Scene) -> Form | None:
    """Return the form of the first output of `node`, None if it has none but its own."""
    inputs = node.inputs
    if not scene.facts.is_valid(node) or not inputs or inputs[0] is None or not node.outputs:
        return None
    if unary := _UNARY.get(node.op_type):
        return unary(node, inputs[0], scene)
    binary = _BINARY.get(node.op_type)
    return binary(node, inputs[0], inputs[1], scene) if binary and inputs[1] else None

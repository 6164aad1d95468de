"""The table of the operators that SimAM is written with."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from simam_deploy.graph.recognise import bounds, moments, products, reductions, sums, views
from simam_deploy.graph.recognise.copies import read_copies
from simam_deploy.graph.recognise.forms import Blend, Flawed, Form, Inverse, Moment, Term
from simam_deploy.graph.recognise.scene import Scene

_UNARY: dict[str, Callable[[ir.Node, ir.Value, Scene], Form | None]] = {
    "Abs": bounds.absolute,
    "AveragePool": reductions.average_pool,
    "Cast": views.cast,
    "CastLike": views.cast,
    "Dropout": views.dropout,
    "Expand": views.expand,
    "Flatten": views.reshape,
    "GlobalAveragePool": reductions.global_average,
    "Identity": views.cast,
    "InstanceNormalization": reductions.instance_norm,
    "IsInf": bounds.not_finite,
    "IsNaN": bounds.not_finite,
    "LayerNormalization": reductions.layer_norm,
    "Neg": sums.neg,
    "Not": bounds.negated,
    "Reciprocal": products.reciprocal,
    "ReduceL2": reductions.reduce_l2,
    "ReduceMean": reductions.reduce_mean,
    "ReduceSum": reductions.reduce_sum,
    "ReduceSumSquare": reductions.reduce_sum_square,
    "Reshape": views.reshape,
    "Sqrt": products.sqrt,
    "Squeeze": views.reshape,
    "Transpose": views.transpose,
    "Unsqueeze": views.reshape,
    "Where": bounds.where,
    # SimAM gates by a sigmoid; by anything else it is a near-miss.
    "Clip": bounds.clip,
    "Elu": products.activation,
    "Exp": products.activation,
    "Erf": products.activation,
    "Gelu": products.activation,
    "HardSigmoid": products.activation,
    "HardSwish": products.activation,
    "LeakyRelu": products.activation,
    "Mish": products.activation,
    "Relu": bounds.relu,
    "Sigmoid": products.activation,
    "Softmax": products.activation,
    "Softplus": products.activation,
    "Softsign": products.activation,
    "Tanh": products.activation,
}

_BINARY: dict[str, Callable[[ir.Node, ir.Value, ir.Value, Scene], Form | None]] = {
    "Add": sums.add,
    "And": bounds.both,
    "Div": products.div,
    "Einsum": reductions.einsum,
    "Greater": bounds.greater,
    "Max": bounds.maximum,
    "Min": bounds.minimum,
    "Mul": products.mul,
    "Or": bounds.either,
    "Pow": products.pow_,
    "Sub": sums.sub,
}


def read(node: ir.Node, scene: Scene) -> Form | None:
    """Return the form of the first output of `node`, None if it has none but its own."""
    if not scene.facts.is_valid(node) or not node.inputs or not node.outputs:
        return None
    return read_copies(node, scene, _read) or _read(node, scene)


def _read(node: ir.Node, scene: Scene) -> Form | None:
    inputs = node.inputs
    if inputs[0] is None:
        return None
    if unary := _UNARY.get(node.op_type):
        form = unary(node, inputs[0], scene)
    elif (binary := _BINARY.get(node.op_type)) and len(inputs) == 2 and inputs[1] is not None:
        form = binary(node, inputs[0], inputs[1], scene.where_maps_are_met(inputs[0], inputs[1]))
    else:
        form = None
    return form or _unreadable(node, scene)


def _unreadable(node: ir.Node, scene: Scene) -> Form | None:
    """Return that a variance or an energy has become what no rule knows, None for all else."""
    if not scene.facts.dtype(node.outputs[0]).is_floating_point():
        return None
    for value in node.inputs:
        form = None if value is None else scene.forms.get(value)
        if isinstance(form, Moment) and (flawed := moments.flawed(form)):
            return flawed
        if isinstance(form, Blend | Inverse) or (isinstance(form, Term) and form.is_simam):
            return Flawed(form.root, f"{node.op_type} of the energy", is_simam=True)
        if isinstance(form, Term) and form.power == 0:
            return Flawed(form.root, f"{node.op_type} of the variance", is_energy=False)
    return None

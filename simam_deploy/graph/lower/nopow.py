"""The lowering for runtimes without Pow, such as RKNN's: `portable`, squared by Mul."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.lower.expand import Takes, anything, expand
from simam_deploy.graph.lower.gate import by_mul
from simam_deploy.graph.lower.portable import RANK, on_planes
from simam_deploy.graph.tape import Scalar, Tape


def lower_nopow(model: ir.Model, takes: Takes = anything) -> int:
    """Replace SimAM nodes by ReduceMean, Sub, Mul, Add, Div and Sigmoid.

    Args:
        model: The model.
        takes: Which feature maps' nodes.

    Returns:
        How many nodes were replaced.
    """
    return expand(model, nopow, RANK, takes)


def nopow(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit SimAM of x, (N, C, H, W), of the tape's dtype."""
    return on_planes(tape, x, by_mul, e_lambda, ratio)

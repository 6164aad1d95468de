"""The lowering that every runtime takes: the ops of the authors' code and no other.

ReduceMean, Sub, Pow, Div, Add, Sigmoid and Mul: twelve nodes a site, fifteen where the plane is
not known to be small. Where H or W is free, r = (H*W - 1) / (H*W) is two Mul a site more, and for
each size of map a Shape, ReduceProd, Cast, Reshape, Div and Sub (a Slice too below opset 15).
"""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.lower.gate import Square, by_pow, gate
from simam_deploy.graph.lower.mean import by_rows, centred, fits_one_run, in_one_run
from simam_deploy.graph.tape import Scalar, Tape

RANK = 4
LONGEST_RUN = 56 * 56
"""Pixels. By rows ONNX Runtime takes 1.5 times as long at 28x28, 0.8 times at 56x56 and 0.7 times
at 112x112, and is off by 3e-7 instead of 4.7e-6; TensorRT-RTX makes four kernels more of a site."""


def lower_portable(model: ir.Model) -> int:
    """Replace every SimAM node by ReduceMean, Sub, Pow, Add, Div, Sigmoid and Mul.

    Returns:
        How many nodes were replaced.
    """
    return expand(model, _portable, RANK)


def _portable(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    return on_planes(tape, x, by_pow, e_lambda, ratio)


def on_planes(tape: Tape, x: ir.Value, square: Square, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit SimAM of x, (N, C, H, W), of the tape's dtype, reduced over axes 2 and 3."""
    mean = in_one_run if fits_one_run(x, LONGEST_RUN) else by_rows
    d = centred(tape, x, mean)
    return tape.op("Mul", x, gate(tape, d, mean, square, e_lambda, ratio))

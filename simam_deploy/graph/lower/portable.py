"""The lowering that every runtime takes: the ops of the authors' code and no other.

ReduceMean, Sub, Pow, Div, Add, Sigmoid and Mul: twelve nodes a site, fifteen where the plane is
not known to be small. Where H or W is free, r = (H*W - 1) / (H*W) needs seven more for each
size of map: Shape, ReduceProd, Cast, Reshape, Div, Sub and a Mul (a Slice too below opset 15).
"""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.lower.gate import Square, by_pow, gate
from simam_deploy.graph.lower.mean import by_rows, centred, fits_one_run, in_one_run
from simam_deploy.graph.tape import Scalar, Tape

RANK = 4


def lower_portable(model: ir.Model) -> int:
    """Replace every SimAM node by ReduceMean, Sub, Pow, Add, Div, Sigmoid and Mul.

    Returns:
        How many nodes were replaced.
    """
    return expand(model, _portable, RANK)


def _portable(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    return on_planes(tape, x, by_pow, e_lambda, ratio)


def on_planes(
    tape: Tape, x: ir.Value, square: Square, e_lambda: Scalar, ratio: Scalar
) -> ir.Value:
    """Emit SimAM of x, (N, C, H, W), of the tape's dtype, reduced over axes 2 and 3."""
    mean = in_one_run if fits_one_run(x) else by_rows
    d = centred(tape, x, mean)
    return tape.op("Mul", x, gate(tape, d, mean, square, e_lambda, ratio))

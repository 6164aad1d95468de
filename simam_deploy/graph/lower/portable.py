"""The lowering that every runtime takes: the published ops, ten nodes where H and W are static."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.lower.gate import gate
from simam_deploy.graph.tape import Scalar, Tape

SPATIAL = (2, 3)


def lower_portable(model: ir.Model) -> int:
    """Replace every SimAM node by ReduceMean, Sub, Mul, Add, Div and Sigmoid.

    Returns:
        How many nodes were replaced.
    """
    return expand(model, _portable, rank=4)


def _portable(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    return tape.op("Mul", x, gate(tape, x, SPATIAL, e_lambda, ratio))

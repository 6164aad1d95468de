"""SimAM's gate in plain ops.

With m = H*W - 1 and r = m / (H*W), the gate's argument (see `simam_deploy.op.contract`) is

    d^2 / (4 * (sum(d^2) / m + lambda)) + 0.5  =  d^2 * ((r / 4) / (mean(d^2) + lambda * r)) + 0.5

Read from the right it divides on one number a plane instead of on the map. That, d * d for the
published d^2 (ONNX Runtime's Pow takes three times as long as its Mul) and numbers of the map's
rank (see `Tape`) make it 1.3 to 1.5 times as fast as the published order in ONNX Runtime where
the map fits the cache, and 1.05 to 1.08 times where it does not and both wait for memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from simam_deploy.graph.tape import Scalar, Tape


def gate(tape: Tape, x: ir.Value, axes: Sequence[int], e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit SimAM's gate.

    Args:
        tape: Where to.
        x: The map, of the tape's dtype.
        axes: Those of x that span a plane.
        e_lambda: The regulariser lambda.
        ratio: r, (H*W - 1) / (H*W).

    Returns:
        The gate, of x's shape.
    """
    d = tape.op("Sub", x, tape.reduce_mean(x, axes))
    d2 = tape.op("Mul", d, d)
    variance = tape.op("Add", tape.reduce_mean(d2, axes), tape.product(ratio, e_lambda))
    scale = tape.op("Div", tape.product(ratio, 0.25), variance)
    return tape.op("Sigmoid", tape.op("Add", tape.op("Mul", d2, scale), 0.5))

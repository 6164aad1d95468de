"""SimAM's gate in plain ops.

With m = H*W - 1 and r = m / (H*W), the gate's argument (see `simam_deploy.op.contract`) is

    d^2 / (4 * (sum(d^2) / m + lambda)) + 0.5  =  d^2 * ((r / 4) / (mean(d^2) + lambda * r)) + 0.5

Read from the right it divides on one number a plane instead of on the map. Numbers have the map's
rank (see `Tape`).
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from simam_deploy.graph.lower.mean import Mean
from simam_deploy.graph.tape import Scalar, Tape

Square = Callable[[Tape, ir.Value], ir.Value]
"""Emits d^2 of d."""


def by_pow(tape: Tape, d: ir.Value) -> ir.Value:
    """Emit d^2 as the authors' code does; in ONNX Runtime it takes 2 to 3 times as long as Mul."""
    return tape.op("Pow", d, 2.0)


def by_mul(tape: Tape, d: ir.Value) -> ir.Value:
    """Emit d * d."""
    return tape.op("Mul", d, d)


def gate(
    tape: Tape, d: ir.Value, mean: Mean, square: Square, e_lambda: Scalar, ratio: Scalar
) -> ir.Value:
    """Emit SimAM's gate.

    Args:
        tape: Where to.
        d: The map less its mean, of the tape's dtype.
        mean: Of a plane of d.
        square: How d is squared.
        e_lambda: The regulariser lambda.
        ratio: r, (H*W - 1) / (H*W).

    Returns:
        The gate, of d's shape.
    """
    d2 = square(tape, d)
    return gate_of_square(tape, d2, mean(tape, d2), e_lambda, ratio)


def gate_of_square(
    tape: Tape, d2: ir.Value, mean: ir.Value, e_lambda: Scalar, ratio: Scalar
) -> ir.Value:
    """Emit SimAM's gate of d^2 and of its mean; see `gate`."""
    variance = tape.op("Add", mean, tape.product(ratio, e_lambda))
    scale = tape.op("Div", tape.product(ratio, 0.25), variance)
    return tape.op("Sigmoid", tape.op("Add", tape.op("Mul", d2, scale), 0.5))

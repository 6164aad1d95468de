"""The lowering for engines with small maps: `flat`, its statistics taken over copies of the rows.

Of a long row TensorRT's compiler makes one kernel a site, batch norm, skip and activation behind
it included, and of a short one two. A short row is therefore written k times behind itself before
it is reduced: mean and variance of k copies are those of one. The gate is taken of the row itself,
so no copy is ever stored. A ResNet-50 plan of TensorRT-RTX 1.7 has 73 launches instead of 82,
without a plugin as many as with it.

Rules:
    1. A plane of at least `SHORTEST_ROW` pixels, or of unknown size, is written as `flat` does.
       With height and width free, as many copies as the graph computes of the Shape gave 36
       launches for flat's 35 (ResNet-18), 10 for 9 (the example's YOLO), 66 for 66 (WeSpeaker's
       ResNet-34) and 79 for 85 (MobileNetV2): no gain to rest on (`scripts/bench/launches.py`).
    2. One Expand, between two Reshapes that leave the batch open, and whatever is reduced is
       computed of the copies: each mean of copies of its own costs a launch (39 of a ResNet-18
       instead of 31), and so does a mean over (k, H*W) (42).
"""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from simam_deploy.graph.lower import flat
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.lower.gate import by_mul, gate_of_square
from simam_deploy.graph.sites import dims
from simam_deploy.graph.tape import Scalar, Tape

SHORTEST_ROW = 385
"""Elements of which TensorRT-RTX 1.7 makes one kernel; of 384 two (`scripts/bench/rows.py`)."""


def lower_wide(model: ir.Model) -> int:
    """Replace every SimAM node by plain ones, on copies of its flattened map where that is short.

    Returns:
        How many nodes were replaced.
    """
    return expand(model, _wide, flat.RANK, _is_short) + flat.lower_flat(model)


def lower_wide_for_engine(model: ir.Model) -> int:
    """Replace every SimAM node as `lower_wide` does, for TensorRT to read at once.

    Returns:
        How many nodes were replaced.
    """
    return expand(model, _wide, flat.RANK, _is_short) + flat.lower_flat_for_engine(model)


def _is_short(x: ir.Value) -> bool:
    """Tell whether x is a map that `flat` takes, of planes that are known to be short."""
    return flat.takes(x) and prod(_size(x)) < SHORTEST_ROW


def _size(x: ir.Value) -> list[int]:
    return [d for d in dims(x)[2:] if isinstance(d, int)]


def _wide(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit SimAM of x, (N, C, H, W) with H and W static, of the tape's dtype."""
    planes = tape.op("Flatten", x, attributes={"axis": 2})
    half = tape.op("Mul", planes, 0.5)
    row = _copies(tape, half, prod(_size(x)))
    mean = flat.of_rows(tape, row)
    row = tape.op("Sub", row, mean)
    rest = flat.of_rows(tape, row)  # of the mean's rounding; see `mean.centred`
    variance = flat.of_rows(tape, by_mul(tape, tape.op("Sub", row, rest)))
    d2 = by_mul(tape, tape.op("Sub", tape.op("Sub", half, mean), rest))
    gate = gate_of_square(tape, d2, variance, tape.product(e_lambda, 0.25), ratio)
    return tape.reshape_like(tape.op("Mul", planes, gate), x)


def _copies(tape: Tape, rows: ir.Value, pixels: int) -> ir.Value:
    """Emit the rows, (N*C, H*W), as many times behind themselves as make them long enough."""
    k = -(-SHORTEST_ROW // pixels)
    apart = tape.op("Reshape", rows, tape.constant((-1, 1, pixels)))
    copies = tape.op("Expand", apart, tape.constant((1, k, 1)))
    return tape.op("Reshape", copies, tape.constant((-1, k * pixels)))

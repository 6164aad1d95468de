"""The lowering for engines with small maps: `flat`, its statistics taken over copies of the rows.

Of a long row TensorRT's compiler makes one kernel a site, batch norm, skip and activation behind
it included, and of a short one two. A short row is therefore written k times behind itself before
it is reduced: mean and variance of k copies are those of one. The gate is taken of the row itself,
so no copy is ever stored. A ResNet-50 plan of TensorRT-RTX 1.7 has 74 launches instead of 83,
without a plugin as many as with it.

Rules:
    1. A plane of at least `SHORTEST_ROW` pixels is written as `flat` does.
    2. Of a plane of unknown size k is computed, in an engine alone: of free height and width a
       ResNet-50 has 81 launches then, and 83 as `flat`, a mobilenet_v2 79 and 85, a ResNet-18 36
       and 35 (`scripts/bench/launches.py`; so both are candidates there). In a file it is
       `flat`'s, since ONNX Runtime sums a large plane wrongly in one run.
    3. One Expand, between two Reshapes that leave the batch open, and whatever is reduced is
       computed of the copies: each mean of copies of its own costs a launch (39 of a ResNet-18
       instead of 31), and so does a mean over (k, H*W) (42).
"""

from __future__ import annotations

from collections.abc import Callable
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
    known = expand(model, _wide, flat.RANK, _is_short)
    unknown = expand(model, _wide_of_any_size, flat.RANK, _is_unknown)
    return known + unknown + flat.lower_flat_for_engine(model)


def _is_short(x: ir.Value) -> bool:
    """Tell whether x is a map that `flat` takes, of planes that are known to be short."""
    return flat.takes(x) and prod(_size(x)) < SHORTEST_ROW


def _size(x: ir.Value) -> list[int]:
    return [d for d in dims(x)[2:] if isinstance(d, int)]


def _is_unknown(x: ir.Value) -> bool:
    return len(dims(x)) == 4 and len(_size(x)) < 2


def _wide(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit SimAM of x, (N, C, H, W) with H and W static, of the tape's dtype."""
    pixels = prod(_size(x))

    def copies(rows: ir.Value) -> ir.Value:
        apart = tape.op("Reshape", rows, tape.constant((-1, 1, pixels)))
        k = -(-SHORTEST_ROW // pixels)
        repeated = tape.op("Expand", apart, tape.constant((1, k, 1)))
        return tape.op("Reshape", repeated, tape.constant((-1, k * pixels)))

    return _of_copies(tape, x, copies, e_lambda, ratio)


def _wide_of_any_size(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit SimAM of x, (N, C, H, W), of the tape's dtype; k is 1 where a plane is long enough."""

    def copies(rows: ir.Value) -> ir.Value:
        one, pixels = tape.constant((1,)), tape.op("Shape", rows, attributes={"start": 1})
        k = tape.op("Div", tape.op("Add", pixels, tape.constant((SHORTEST_ROW - 1,))), pixels)
        times = tape.op("Concat", one, k, one, attributes={"axis": 0})
        repeated = tape.op("Expand", tape.op("Unsqueeze", rows, one), times)
        return tape.op("Flatten", repeated, attributes={"axis": 1})

    return _of_copies(tape, x, copies, e_lambda, ratio)


def _of_copies(
    tape: Tape,
    x: ir.Value,
    copies: Callable[[ir.Value], ir.Value],
    e_lambda: Scalar,
    ratio: Scalar,
) -> ir.Value:
    """Emit SimAM of x, mean and variance of whose rows, (N*C, H*W), are taken of copies."""
    planes = tape.op("Flatten", x, attributes={"axis": 2})
    half = tape.op("Mul", planes, 0.5)
    row = copies(half)
    mean = flat.of_rows(tape, row)
    row = tape.op("Sub", row, mean)
    rest = flat.of_rows(tape, row)  # of the mean's rounding; see `mean.centred`
    variance = flat.of_rows(tape, by_mul(tape, tape.op("Sub", row, rest)))
    d2 = by_mul(tape, tape.op("Sub", tape.op("Sub", half, mean), rest))
    gate = gate_of_square(tape, d2, variance, tape.product(e_lambda, 0.25), ratio)
    return tape.reshape_like(tape.op("Mul", planes, gate), x)

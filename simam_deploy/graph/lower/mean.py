"""The mean of a plane, summed so that float32 holds it.

ONNX Runtime's CPU provider sums what is reduced in one run, in 16 lanes: a lane of k equal numbers
is off by up to k * 2^-25 of the sum, since each addition rounds the same way. PyTorch sums
pairwise. Over a plane of 512x512 the mean of a constant is off by 1e-3, and SimAM of it by as much.

Rules:
    1. A plane known to be smaller than `LONGEST_RUN` is summed in one run.
    2. A larger one, or of unknown size, is reduced over W, then over H: 1024x1024 in runs of 1024.
       The second step names both axes, though W is 1 by then: reduced over H alone a column of
       (N, C, H, 1) takes ONNX Runtime 3 to 25 times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import onnx_ir as ir

from simam_deploy.graph.sites import dims
from simam_deploy.graph.tape import Tape

Mean = Callable[[Tape, ir.Value], ir.Value]
"""Emits the mean of every plane of a map, reduced dimensions kept."""

SPATIAL = (2, 3)
LONGEST_RUN = 128 * 128
"""Pixels. A lane then adds 1024 numbers: at most 3e-5 of mean(d^2), which moves the gate by that
times e * s * (1 - s), at most 0.16, so y by 5e-6; measured, 2e-6 below it and 7e-6 at 181x181.
From 128x128 on, TensorRT's compiler makes four kernels a site of what is one at 125x128."""


def fits_one_run(x: ir.Value) -> bool:
    """Tell whether a plane of x, (N, C, H, W), is known to be small enough for one run."""
    size = dims(x)[2:]
    static = len(size) == 2 and all(isinstance(d, int) for d in size)
    return static and prod(d for d in size if isinstance(d, int)) < LONGEST_RUN


def in_one_run(tape: Tape, x: ir.Value) -> ir.Value:
    """Emit the means of x, (N, C, H, W), as (N, C, 1, 1)."""
    return tape.reduce_mean(x, SPATIAL)


def by_rows(tape: Tape, x: ir.Value) -> ir.Value:
    """Emit the means of x, (N, C, H, W), as (N, C, 1, 1), in runs of W and of H."""
    return tape.reduce_mean(tape.reduce_mean(x, SPATIAL[1:]), SPATIAL)


def centred(tape: Tape, x: ir.Value, mean: Mean) -> ir.Value:
    """Emit x less its mean, twice.

    A mean of 1000 standard deviations is rounded to float32 by up to 6e-5 of one, which alone
    moves y by 1e-5, in PyTorch too. The difference is exact there, and its own mean is what the
    rounding left: without it, 2e-7. So is what one run leaves of a constant plane of any height.
    """
    d = tape.op("Sub", x, mean(tape, x))
    return tape.op("Sub", d, mean(tape, d))

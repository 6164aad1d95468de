"""The mean of a plane, summed so that float32 holds it.

ONNX Runtime's CPU provider sums what is reduced in one run, in 8 lanes: a lane of k equal numbers
is off by up to k * 2^-25 of its sum, since every addition rounds the same way. PyTorch sums
pairwise. Over a plane of 512x512 the mean of a constant is off by 1e-3, and SimAM of it by as much.

Rules:
    1. A plane known to be small is summed in one run.
    2. A larger one, or of unknown size, is reduced over W, then over H: 1024x1024 in runs of 1024.
       The second step names both axes, though W is 1 by then: reduced over H alone a column of
       (N, C, H, 1) takes ONNX Runtime 6 to 40 times as long.
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
LONGEST_RUN = 112 * 112
"""Pixels. Of planes of few values, which round worst, SimAM in one run is off by 1.1e-6 at 56x56,
4.7e-6 at 112x112, 5.1e-6 at 80x200 and 6.7e-6 at 127x129. The 5e-6 that are allowed end here."""


def fits_one_run(x: ir.Value, longest: int = LONGEST_RUN) -> bool:
    """Tell whether a plane of x, (N, C, H, W), is known to have at most `longest` pixels."""
    size = [d for d in dims(x)[2:] if isinstance(d, int)]
    return len(size) == len(dims(x)) - 2 == 2 and prod(size) <= longest


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

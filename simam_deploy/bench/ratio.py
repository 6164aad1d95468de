"""A ratio of two times, with an interval that holds on a machine that others keep busy.

Two processes take turns, so that what slows one slows the other: a round gives the ratio of one
turn to the turn beside it, and a start of both processes the median over its rounds, which no
burst of noise moves. Rounds of one start share a layout of memory and whatever else a process keeps
for its life (1 to 3 % of a run, by which two benchmarks of one file differ), so that however many
there are, they say nothing of that. Starts are therefore what is counted: the logarithms of their
medians are taken for normal, and the interval is Student's t over them (W. S. Gosset, The probable
error of a mean, Biometrika 6, 1908).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from simam_deploy.bench.records import Ratio

CONFIDENCE = 0.95
LEAST_STARTS = 3
"""Fewer give no interval: of two starts it would reach 9 standard deviations to each side."""
_T = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
      2.131, 2.120, 2.110, 2.101, 2.093, 2.086)  # fmt: skip
"""Student's t at 0.975, by degrees of freedom from 2 to 20; beyond, that of 20, which is wider."""


def ratio_of(
    first: Sequence[Sequence[float]], other: Sequence[Sequence[float]], clock: str
) -> Ratio | None:
    """Give how many times as fast as the first the other is.

    Args:
        first: The first's time of every round, by start.
        other: The other's, of the same rounds of the same starts.
        clock: Which clock they are of.

    Returns:
        None where there is no round in common.
    """
    pairs = (list(zip(a, b, strict=False)) for a, b in zip(first, other, strict=False))
    logs = [_median_log(rounds) for rounds in pairs if rounds]
    if not logs:
        return None
    middle = statistics.fmean(logs)
    if len(logs) < LEAST_STARTS:
        return Ratio(math.exp(middle), None, None, clock, len(logs))
    half = _T[min(len(logs), len(_T) + 2) - 3] * statistics.stdev(logs) / math.sqrt(len(logs))
    return Ratio(
        math.exp(middle), math.exp(middle - half), math.exp(middle + half), clock, len(logs)
    )


def _median_log(rounds: Sequence[tuple[float, float]]) -> float:
    return statistics.median(math.log(a / b) for a, b in rounds)

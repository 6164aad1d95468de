"""Is a slice of an output off by a factor?

Scores that are all 5 % too low change less than int8's noise does, which changes those of a small
detector by 12 %. But noise is as often up as down: along the exact values, it changes the same
scores by 0.5 %. That is told as the factor that the change has in common with what is exact,
sum(change * exact) / sum(exact^2), and may be what it is in draws of the noise, by chance.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from simam_deploy.precision.int8.chance import WRONGLY
from simam_deploy.precision.int8.slices import Sums

MODEL = 1.4
"""Times what chance may do."""
SHARE = 0.15
"""Of the cost, that noise is not quite what rounding is: a trained detector came to 0.12."""
FAINT = 0.4
"""A variation: of fewer than five degrees of freedom, which a few draws can all miss."""
LEAST = 4
"""Slices: a few draws tell too little of what one of them varies by."""


def beside(gain: Sums, draws: Sums, usual: Sums, variation: Sums, slices: int) -> tuple[Sums, Sums]:
    """Give how far a candidate's factors lie from the draws' mean, and how far they may.

    Args:
        gain: Of the candidate, by slice.
        draws: (draws, slices), of the noise.
        usual: What int8 costs each slice, RMS over RMS.
        variation: Of each slice's cost from draw to draw (`chance`).
        slices: How many are asked in all.

    Returns:
        The distances and their bounds. A slice's deviation is the mean of its own among the draws
        and of what all slices have in common: a share of their cost. A slice that varies by more
        than `FAINT` has no bound.
    """
    there = usual > 0
    scale = np.where(there, usual, 1)
    own = draws.var(axis=0, ddof=1)
    share = np.mean((own / scale**2)[there]) if there.any() else 0.0
    deviation = np.sqrt((own + share * usual**2) / 2 * (1 + 1 / len(draws)))
    z = NormalDist().inv_cdf(1 - WRONGLY / 2 / slices)
    allowed = MODEL * z * deviation + SHARE * usual
    return np.abs(gain - draws.mean(axis=0)), np.where(variation > FAINT, np.inf, allowed)

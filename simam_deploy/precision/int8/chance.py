"""How much more than expected a slice may cost by chance.

A slice's cost is a sum of squares of what is drawn, as is what is expected of it: their ratio
follows Fisher's F, with as many degrees of freedom as the sums have. Many values make them certain;
a slice of which one sample in 64 holds all is as good as one value.

The degrees are told from the draws. The sum over all samples of one slice varies from draw to draw
by a share v of itself, squared, and 2 / v are its degrees of freedom. A few draws tell v badly, but
all slices of an output tell it together: v is taken as one number, for the output, times how much
of the slice's sum is in few samples, for the slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from simam_deploy.precision.int8.slices import Sums

WRONGLY = 1e-3
"""How often, of correct conversions, chance may fail one slice or more of an output."""


def variations(draws: Sequence[dict[str, Sums]]) -> dict[str, Sums]:
    """Give v, the variance of a slice's sum over its square, by cut.

    Args:
        draws: Of each draw and cut, (samples, slices).
    """
    totals = {cut: np.stack([draw[cut].sum(axis=0) for draw in draws]) for cut in draws[0]}
    shares = {cut: _share(np.mean([draw[cut] for draw in draws], axis=0)) for cut in draws[0]}
    seen = np.concatenate([_relative_variance(total) for total in totals.values()])
    held = np.concatenate(list(shares.values()))
    there = held > 0
    factor = seen[there].sum() / held[there].sum() if there.any() else 0.0
    return {cut: factor * share for cut, share in shares.items()}


def _share(samples: Sums) -> Sums:
    """Give 1 / samples where each has as much of a slice, and 1 where one sample has all."""
    total = samples.sum(axis=0)
    share: Sums = np.square(samples).sum(axis=0) / np.square(np.where(total > 0, total, 1))
    return share


def _relative_variance(totals: Sums) -> Sums:
    mean = totals.mean(axis=0)
    variance: Sums = totals.var(axis=0, ddof=1) / np.square(np.where(mean > 0, mean, 1))
    return variance


def by_chance(variation: Sums, draws: int, slices: int) -> Sums:
    """Give how many times the mean of some draws a slice's sum comes to, at the most, by chance.

    Args:
        variation: v of each slice.
        draws: That the mean is of.
        slices: How many are asked; chance may fail one of them `WRONGLY` often.

    Returns:
        The factors; infinite where the degrees are too few to tell anything.
    """
    degrees = 2 / np.maximum(variation, 1e-9)
    return fisher(NormalDist().inv_cdf(1 - WRONGLY / slices), degrees, draws * degrees)


def fisher(z: float, over: Sums, under: Sums) -> Sums:
    """Give the quantile of F that lies where z does in a normal distribution.

    By cube roots of the sums (Paulson, "An approximate normalization of the analysis of variance
    distribution", Ann. Math. Stat. 13, 1942): within 3 % from 3 degrees on.
    """
    a, b = 2 / (9 * over), 2 / (9 * under)
    left = (1 - b) ** 2 - b * z**2
    inside = a * (1 - b) ** 2 + b * (1 - a) ** 2 - a * b * z**2
    with np.errstate(invalid="ignore", divide="ignore"):
        root = ((1 - a) * (1 - b) + z * np.sqrt(inside)) / left
    told = (left > 0) & (over >= 1)
    return np.where(told, root**3, np.inf)

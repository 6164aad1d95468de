"""What a scale may lose, by how far the samples agree on what the best one is.

A scale of some samples is used on others. So the samples are held against each other: the best
range of every other sample is tried on the rest, and the other way round. What that loses is what
calibration can be expected to lose (`crossed`), and a scale may lose `MARGIN` times it. Where all
samples are alike that is little more than the best scale loses, and a scale off by 2, which loses
1.9 times that, is told.

Where they are not alike, a bound that follows them would let everything through. None is looser
than `SEVEN_BITS` times the loss of the best scale of seven bits; a tensor whose samples disagree by
more cannot be quantised as well as eight bits can be asked to (`settled`).
"""

from __future__ import annotations

import math

import numpy as np

from simam_deploy.precision.int8.histogram import LEVELS, Histogram, best_range

MARGIN = 1.4
"""Times what calibration loses on other samples; half a bit."""
SEVEN_BITS = 1.4
"""Times the best loss of seven bits: six and a half."""

ENOUGH = 12
"""Samples, to say that they do not agree; of fewer, those that calibration had are believed."""


class Spread:
    """What a tensor holds, counted in two halves of the samples.

    Losses are roots of sums of squares.
    """

    def __init__(self) -> None:
        self.halves = (Histogram(), Histogram())

    def best_range(self, levels: int = LEVELS) -> float:
        """Give the range that loses least over all samples; 0 where all is zero."""
        return best_range(self.halves, levels)

    def loss(self, limit: float, levels: int = LEVELS) -> float:
        """Give what quantising within a range loses over all samples."""
        return math.sqrt(sum(_squares(half, limit, levels) for half in self.halves))

    @property
    def crossed(self) -> float:
        """What the best range of each half loses on the other."""
        one, other = self.halves
        return math.hypot(
            math.sqrt(_squares(one, other.best_range())),
            math.sqrt(_squares(other, one.best_range())),
        )

    @property
    def most(self) -> float:
        """What eight bits can be asked to lose at the most."""
        return SEVEN_BITS * self.loss(self.best_range(LEVELS // 2), LEVELS // 2)

    @property
    def allowed(self) -> float:
        """What a scale may lose."""
        return min(MARGIN * self.crossed, self.most)

    @property
    def disagreement(self) -> float:
        """`crossed` in units of `most`: beyond 1 the samples do not settle a range."""
        crossed = self.crossed
        return crossed / self.most if crossed else 0.0


def _squares(half: Histogram, limit: float, levels: int = LEVELS) -> float:
    return float(half.errors(np.array([limit]), levels)[0])

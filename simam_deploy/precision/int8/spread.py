"""What a scale may lose, by how far the samples agree on what the best one is.

A scale of some samples is used on others. So the samples are held against each other: the best
range of half of them is tried on the rest, and the other way round. What that loses is what
calibration can be expected to lose (`crossed`), and a scale may lose `MARGIN` times it. Where all
samples are alike that is little more than the best scale loses, and a scale off by 2, which loses
1.9 times that, is told.

Where they are not alike, a bound that follows them would let everything through. None is looser
than `SEVEN_BITS` times the loss of the best scale of seven bits; a tensor whose samples disagree by
more cannot be quantised as well as eight bits can be asked to (`settled`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from simam_deploy.precision.int8.formats import INT8, Format, seven_bits
from simam_deploy.precision.int8.histogram import Histogram, best_range
from simam_deploy.precision.int8.runs import PARTS

MARGIN = 1.4
"""Times what calibration loses on other samples; half a bit."""
SEVEN_BITS = 1.4
"""Times the best loss of seven bits: six and a half."""

ENOUGH = 12
"""Samples, to say that they do not agree; of fewer, those that calibration had are believed."""


_HALVES = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))
"""Of four parts, the three ways."""


class Spread:
    """What a tensor holds, counted in parts of the samples; losses are roots of sums of squares.

    Args:
        numbers: What it is to be quantised to.
    """

    def __init__(self, numbers: Format = INT8) -> None:
        self.numbers = numbers
        self.parts = tuple(Histogram() for _ in range(PARTS))

    def best_range(self) -> float:
        """Give the range that loses least over all samples; 0 where all is zero."""
        return best_range(self.parts, self.numbers)

    def loss(self, limit: float) -> float:
        """Give what quantising within a range loses over all samples."""
        return math.sqrt(_squares(self.parts, limit, self.numbers))

    @functools.cached_property
    def crossed(self) -> float:
        """What the best range of each half loses on the other, in the mean of the three ways."""
        squares = 0.0
        for ways in _HALVES:
            one, other = ([self.parts[i] for i in half] for half in ways)
            for some, others in ((one, other), (other, one)):
                squares += _squares(some, best_range(others, self.numbers), self.numbers)
        return math.sqrt(squares / len(_HALVES))

    @functools.cached_property
    def most(self) -> float:
        """What eight bits can be asked to lose at the most."""
        fewer = seven_bits(self.numbers)
        return SEVEN_BITS * math.sqrt(_squares(self.parts, best_range(self.parts, fewer), fewer))

    @property
    def allowed(self) -> float:
        """What a scale may lose."""
        return min(MARGIN * self.crossed, self.most)

    @property
    def disagreement(self) -> float:
        """`crossed` in units of `most`: beyond 1 the samples do not settle a range."""
        return self.crossed / self.most if self.crossed else 0.0


def _squares(parts: Sequence[Histogram], limit: float, numbers: Format) -> float:
    return float(sum(part.errors(np.array([limit]), numbers)[0] for part in parts))

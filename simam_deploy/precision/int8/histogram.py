"""How the magnitudes of a tensor are distributed, and the range that int8 loses least with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array

LEVELS = 127
"""Steps from zero to the largest int8; -128 is left unused, so that zero is in the middle."""
BINS = 4096
"""Of a histogram: 16 to 32 a step."""


class Histogram:
    """Counts of |x| in equal bins from 0, with zeros left out: they are quantised without loss.

    A value beyond the last bin doubles the width of all, so that memory stays the same however
    much is added.
    """

    def __init__(self) -> None:
        self.limit = 0.0
        self.counts: npt.NDArray[np.int64] = np.zeros(BINS, np.int64)

    def add(self, array: Array) -> None:
        """Count an array of finite floats."""
        magnitudes = np.abs(array[array != 0])
        if not magnitudes.size:
            return
        largest = float(magnitudes.max())
        self.limit = self.limit or largest
        while largest > self.limit:
            halves = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([halves, np.zeros(BINS // 2, np.int64)])
            self.limit *= 2
        bins = np.minimum((magnitudes * (BINS / self.limit)).astype(np.int32), BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)

    def best_range(self, levels: int = LEVELS) -> float:
        """Give the range r whose quantisation in `levels` steps has the least squared error.

        A value within r is off by up to half a step: (r / levels)^2 / 12 in the mean. One of
        magnitude v beyond it is clipped, and off by v - r.
        """
        if not self.limit:
            return 0.0
        edges = self.limit / BINS * np.arange(1, BINS + 1)
        return float(edges[np.argmin(self._errors(edges, levels))])

    def _errors(self, ranges: Array, levels: int) -> Array:
        """Give the sum of squared errors for each range, which are the bins' upper edges."""
        centres = ranges - ranges[0] / 2
        moments = [np.cumsum(self.counts * centres**power) for power in (0, 1, 2)]
        count, first, second = (m[-1] - m for m in moments)
        clipped = second - 2 * ranges * first + ranges**2 * count
        errors: npt.NDArray[np.float64] = moments[0] * (ranges / levels) ** 2 / 12 + clipped
        return errors

"""How the magnitudes of a tensor are distributed, and the range that eight bits lose least in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array
from simam_deploy.precision.int8.formats import INT8, Format

BINS = 4096
"""Of a histogram: 16 to 32 a step of int8."""


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

    def best_range(self, numbers: Format = INT8) -> float:
        """Give the range that loses least; see `best_range`."""
        return best_range((self,), numbers)

    def errors(self, ranges: Array, numbers: Format = INT8) -> Array:
        """Give the sum of squared errors of quantising within each range to a format's numbers.

        A value within the range is off by up to half a step of its magnitude, step^2 / 12 in the
        mean; one of magnitude v beyond it is clipped, and off by v - range.
        """
        if not self.limit:
            return np.zeros_like(ranges)
        count, first, second = (self._below(ranges, power) for power in (0, 1, 2))
        total = [float(np.sum(self.counts * self._centres**power)) for power in (0, 1, 2)]
        beyond = total[0] - count, total[1] - first, total[2] - second
        clipped = beyond[2] - 2 * ranges * beyond[1] + ranges**2 * beyond[0]
        errors: Array = self._rounded(ranges / numbers.largest, numbers) + np.maximum(clipped, 0)
        return errors

    def _rounded(self, scales: Array, numbers: Format) -> Array:
        """Sum up the squared errors of what is not clipped, band by band."""
        total, before = np.zeros_like(scales), np.zeros_like(scales)
        for end, step in numbers.bands:
            below = self._below(scales * end, 0)
            total += (below - before) * (scales * step) ** 2 / 12
            before = below
        return total

    @property
    def _centres(self) -> Array:
        return self.limit / BINS * (np.arange(BINS) + 0.5)

    def _below(self, limits: Array, power: int) -> Array:
        """Sum v^power over the values below each limit."""
        sums = np.concatenate([[0.0], np.cumsum(self.counts * self._centres**power)])
        below: Array = np.interp(limits, self.limit / BINS * np.arange(BINS + 1), sums)
        return below


def best_range(histograms: Sequence[Histogram], numbers: Format = INT8) -> float:
    """Give the range of the least squared error over several histograms; 0 where all are empty."""
    limit = max(histogram.limit for histogram in histograms)
    if not limit:
        return 0.0
    ranges = limit / BINS * np.arange(1, BINS + 1)
    errors = np.sum([histogram.errors(ranges, numbers) for histogram in histograms], axis=0)
    return float(ranges[np.argmin(errors)])

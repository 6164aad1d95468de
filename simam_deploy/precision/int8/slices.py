"""Sums over an output or its changes, sample by sample: whole, by channel, and by its last axis.

A detector's boxes, 0 to 640, and its scores, 0 to 1, are rows of one output: over the whole of it
nothing is seen of the scores. So each slice is summed by itself, and is judged by its own size.
"""

from __future__ import annotations

import numpy as np

from simam_deploy.core.arrays import Array

Sums = Array
"""float64."""


def cuts(rank: int) -> dict[str, int | None]:
    """Name the ways to cut an output of a rank, each with its axis; the first is not to cut it."""
    ways: dict[str, int | None] = {"": None}
    if rank > 1:
        ways["[:, {}]"] = 1
    if rank > 2:
        ways["[..., {}]"] = rank - 1
    return ways


class Tally:
    """Sums of some values of one output over all runs, by sample and slice."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Sums]] = {}

    def add(self, values: Array, batch: int) -> None:
        """Add a run's values.

        Args:
            values: float64 (batch, ...), or of another shape: then the run counts as one sample.
            batch: Samples of the run.
        """
        samples = values if values.ndim and len(values) == batch else values[None]
        lead = samples.ndim - values.ndim
        for cut, axis in cuts(values.ndim).items():
            kept = {0} if axis is None else {0, axis + lead}
            others = tuple(i for i in range(samples.ndim) if i not in kept)
            sums = samples.sum(axis=others).reshape(len(samples), -1)
            self._parts.setdefault(cut, []).append(sums)

    def by_cut(self) -> dict[str, Sums]:
        """Give (samples, slices) by cut; one whose slices differ in number is left out."""
        alike = {
            cut: parts
            for cut, parts in self._parts.items()
            if len({part.shape[1] for part in parts}) == 1
        }
        return {cut: np.concatenate(parts) for cut, parts in alike.items()}


def is_counted(output: Array) -> bool:
    """Tell whether an output is of indices or truths: such are alike or not, and have no size."""
    return output.dtype.kind in "iub"


def magnitudes(output: Array) -> Array:
    """Give what an output's own size is told from: its squares, or of indices their number."""
    if is_counted(output):
        return by_sample(np.ones(output.shape))
    squares: Array = np.square(output, dtype=np.float64)
    return squares


def by_sample(values: Array) -> Array:
    """Sum up all of each sample: of single indices, too few change to be judged."""
    sums: Array = values.sum(axis=tuple(range(1, values.ndim)))
    return sums


class Change:
    """By how much a model's output differs from the exact one.

    Attributes:
        squares: Of the differences; of indices, the number that differs.
        along: The differences times what is exact: what is off by a factor adds up here, and
            chance does not.
        reason: Why nothing can be told, or nothing.
    """

    def __init__(self) -> None:
        self.squares, self.along, self.reason = Tally(), Tally(), ""

    def add(self, exact: Array, got: Array | None, batch: int) -> None:
        """Add a run of `batch` samples."""
        if got is None or got.shape != exact.shape or not np.isfinite(got).all():
            self.reason = "missing, not finite or of another shape"
            return
        if is_counted(exact):
            differing = by_sample((got != exact).astype(np.float64))
            self.squares.add(differing, batch)
            self.along.add(differing, batch)
            return
        reference = exact.astype(np.float64)
        difference = got.astype(np.float64) - reference
        self.squares.add(np.square(difference), batch)
        self.along.add(difference * reference, batch)

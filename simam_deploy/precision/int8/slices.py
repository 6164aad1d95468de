"""Sums of squares of an output or of its changes: whole, by channel, and by its last axis.

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


class Energy:
    """Of one output over all runs: what its squares sum up to, sample by sample and slice by slice.

    Attributes:
        reason: Why nothing can be told, or nothing.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._parts: dict[str, list[Sums]] = {}

    def add(self, array: Array, batch: int) -> None:
        """Add a run's values.

        Args:
            array: (batch, ...), or of another shape: then the run counts as one sample.
            batch: Samples of the run.
        """
        samples = array if array.ndim and len(array) == batch else array[None]
        squared = np.square(samples, dtype=np.float64)
        lead = samples.ndim - array.ndim
        for cut, axis in cuts(array.ndim).items():
            kept = {0} if axis is None else {0, axis + lead}
            others = tuple(i for i in range(squared.ndim) if i not in kept)
            sums = squared.sum(axis=others).reshape(len(samples), -1)
            self._parts.setdefault(cut, []).append(sums)

    def add_change(self, exact: Array, got: Array | None, batch: int) -> None:
        """Add what a run changed, or say why that cannot be told."""
        if got is None or got.shape != exact.shape or not np.isfinite(got).all():
            self.reason = "missing, not finite or of another shape"
        else:
            self.add(got.astype(np.float64) - exact.astype(np.float64), batch)

    def sums(self) -> dict[str, Sums]:
        """Give, by cut, (samples, slices); a cut whose slices differ in number is left out."""
        alike = {
            cut: parts
            for cut, parts in self._parts.items()
            if len({part.shape[1] for part in parts}) == 1
        }
        return {cut: np.concatenate(parts) for cut, parts in alike.items()}

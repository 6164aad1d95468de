"""Samples in runs of a model, as many at once as it takes or as memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.errors import InputError
from simam_deploy.precision.taps import Taps
from simam_deploy.source.samples import Dataset
from simam_deploy.source.samples.inputs import batch_of, feeds_of, rows_of

_BYTES = 2**26
"""Of the tensors that a run gives; the runtime holds as much again while it makes them."""
_LARGEST_BATCH = 32
PARTS = 4
"""Of the samples: there are three ways to make two halves of them."""


class Runs:
    """A dataset, to be iterated as often as one likes: feeds of one run each.

    A fixed batch is filled in every run, so that what does not fill the last one is left out.

    Args:
        dataset: The samples.
        taps: A model, by whose tensors the batch is chosen where it is free.

    Raises:
        InputError: The model's batch is fixed, and larger than the dataset.
        UsageError: It takes other inputs than the samples give.
    """

    def __init__(self, dataset: Dataset, taps: Taps) -> None:
        self._inputs = taps.inputs
        fixed = batch_of(taps.inputs)
        if fixed is not None and fixed > len(dataset):
            raise InputError(
                f"{dataset.name} has {len(dataset)} samples, the model takes {fixed} at once: give "
                "more, or export with a free batch"
            )
        self.rows = tuple(spec.name for spec in rows_of(taps.inputs))
        """The inputs that have a row for each sample."""
        self.size = fixed or _affordable(dataset, taps)
        self.samples = whole_batches(len(dataset), fixed)
        """How many a pass takes."""
        self._dataset = dataset

    def __iter__(self) -> Iterator[Feeds]:
        """Yield the samples in order, decoded anew."""
        taken = 0
        for batch in self._dataset.batches(self.size):
            taken += len(batch)
            if taken <= self.samples:
                yield feeds_of(self._inputs, batch)


def whole_batches(samples: int, batch: int | None) -> int:
    """Give how many samples a model takes of some, in whole runs of its batch if that is fixed."""
    return samples if batch is None else samples // batch * batch


def _affordable(dataset: Dataset, taps: Taps) -> int:
    """Try one sample, and tell how many fit."""
    single = feeds_of(taps.inputs, next(dataset.batches(1)))
    taken = sum(value.nbytes for value in taps.read(single))
    return max(1, min(_LARGEST_BATCH, _BYTES // taken))


def in_parts(values: Array, batch: int, start: int) -> Sequence[Array]:
    """Deal what a run gave to `PARTS` of the samples, in turn: the same whatever the batch.

    Args:
        values: Of one tensor; (batch, ...) or of another shape.
        batch: How many samples the run had.
        start: How many there were before it.

    Returns:
        An array a part, some perhaps empty. A run that cannot be split goes to one part.
    """
    if values.ndim and len(values) == batch:
        return [values[(part - start) % PARTS :: PARTS] for part in range(PARTS)]
    here = start // batch % PARTS
    return [values if part == here else values[:0] for part in range(PARTS)]

"""Two classifiers on the same samples: how often each is right, and how often they agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array
from simam_deploy.errors import InputError
from simam_deploy.runtime.protocol import Runner
from simam_deploy.source.samples.inputs import Batch, batch_of, feeds_of
from simam_deploy.verify.report import Accuracy, Scores

Logits = Array

AGREEMENT: Mapping[str, float] = {
    "fp32": 0.9999,
    "fp16": 0.999,
    "bf16": 0.992,
    "int8": 0.98,
    "fp8": 0.98,
}
"""The least share of samples, by the candidate's precision, for which both rank a class first.

A float32 export may flip a tie: one in ten thousand. Samples whose two best classes lie closer
than the rounding error may flip, and their share grows in proportion to it: bfloat16's unit is
eight times float16's, so eight times 0.001 is allowed. That of int8 and fp8 is a choice: what
calibration may cost is for its user to say. On fewer samples than a bound can resolve, all must
agree: on the 360 digits that are held out, that is fp32 and fp16; bf16 may differ on two.
"""
BATCH = 32
_TOP = 5


def measure_accuracy(
    reference: Runner,
    candidate: Runner,
    batches: Iterable[Batch],
    required: float,
    folders: int | None = None,
) -> Accuracy:
    """Run every sample through both; the first output of each ranks the classes.

    Args:
        reference: Takes what samples give.
        candidate: Takes the same under the same names.
        batches: The samples; where an input's batch is fixed, no larger than that.
        required: The least agreement that passes.
        folders: Of how many folders labels are the places, where nothing else says them.

    Raises:
        InputError: The first output is not (N, classes), a label is beyond its classes, or there
            are more or fewer folders than these.
        UsageError: The model takes other inputs than the samples give.
    """
    agreed = samples = 0
    hits = np.zeros((2, 2), np.int64)
    labelled = False
    for batch in batches:
        logits = [_logits(runner, batch) for runner in (reference, candidate)]
        _check_labels(batch, logits[0].shape[1], folders)
        ranks = [_ranking(each) for each in logits]
        samples += len(batch)
        agreed += int(np.count_nonzero((ranks[0][:, 0] == ranks[1][:, 0]) & (ranks[1][:, 0] >= 0)))
        if batch.labels is not None:
            labelled = True
            hits += [_hits(ranking, batch.labels) for ranking in ranks]
    if not samples:
        raise InputError("there are no samples to measure accuracy on")
    scores = (
        [Scores(*(float(n) / samples for n in row)) for row in hits] if labelled else [None] * 2
    )
    return Accuracy(samples, agreed / samples, required, *scores)


def _check_labels(batch: Batch, classes: int, folders: int | None) -> None:
    """Refuse labels that are no classes of the model's.

    Raises:
        InputError: One is beyond them, or they are places among another number of folders.
    """
    if folders not in (None, classes):
        raise InputError(
            f"there are {folders} class folders, and scores of {classes} classes, which have no "
            "names: name the folders by the places of their classes from 0, or give the file the "
            "names of its classes",
            options=("data", "labels"),
        )
    if batch.labels is not None and batch.labels.max(initial=0) >= classes:
        raise InputError(
            f"a sample has the label {batch.labels.max()}, the model scores {classes} classes"
        )


def run_batch(runner: Runner, batch: Batch) -> dict[str, Array]:
    """Run one batch, filled up with its last sample where the input's batch is fixed.

    Raises:
        UsageError: The model takes other inputs than the samples give.
    """
    full, size = batch.filled(batch_of(runner.inputs)), len(batch)
    outputs = runner.run(feeds_of(runner.inputs, full))
    rows = (len(full),)
    return {name: out[:size] if out.shape[:1] == rows else out for name, out in outputs.items()}


def _logits(runner: Runner, batch: Batch) -> Logits:
    """Run one batch for the scores of its classes."""
    logits = next(iter(run_batch(runner, batch).values()))
    if logits.ndim != 2 or len(logits) != len(batch):
        raise InputError(
            f"accuracy wants an output (N, classes), {runner.name} gives {logits.shape}"
        )
    return logits


def _ranking(logits: Logits) -> npt.NDArray[np.int64]:
    """List the five best classes of each row, -1 throughout where a value is NaN or infinite."""
    best = np.argsort(-logits.astype(np.float64), axis=1, kind="stable")[:, :_TOP]
    best[~np.isfinite(logits).all(axis=1)] = -1
    return best


def _hits(ranking: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Count the rows whose label comes first, and is among the best."""
    found = ranking == labels[:, None]
    return int(found[:, 0].sum()), int(found.any(axis=1).sum())

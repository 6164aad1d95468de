"""How both models classify samples."""

from __future__ import annotations

from collections.abc import Callable

from simam_deploy.core.progress import Progress
from simam_deploy.runtime.protocol import Runner
from simam_deploy.source.samples import Dataset
from simam_deploy.verify.accuracy import AGREEMENT, BATCH, measure_accuracy
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.report import Accuracy


def compare_classes(
    pair: Pair,
    reference: Callable[[], Runner],
    samples: Dataset,
    least: float | None,
    progress: Progress,
) -> Accuracy:
    """Run every sample through both models.

    Args:
        pair: Both.
        reference: Opens the reference.
        samples: What they are given.
        least: The least agreement that passes; None takes the precision's.
        progress: Told the step.

    Raises:
        InputError: A sample cannot be used.
        UsageError: The models take more than one input.
        ValidationError: The candidate cannot be run.
    """
    progress(f"classifying {len(samples)} samples")
    required = AGREEMENT[pair.candidate.precision] if least is None else least
    batches = samples.batches(pair.batch_size(BATCH))
    with reference() as theirs, pair.open_candidate() as candidate:
        return measure_accuracy(theirs, candidate, batches, required)

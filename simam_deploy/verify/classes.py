"""What both models make of samples: classes, or detections."""

from __future__ import annotations

from collections.abc import Callable

from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import TensorSpec
from simam_deploy.detect.decoding import may_detect
from simam_deploy.runtime.protocol import Runner
from simam_deploy.source.samples import Dataset
from simam_deploy.verify import detections
from simam_deploy.verify.accuracy import AGREEMENT, BATCH, measure_accuracy
from simam_deploy.verify.detections import measure_detections
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.report import Accuracy, Detections


def compare_samples(
    pair: Pair,
    reference: Callable[[], Runner],
    samples: Dataset,
    least: float | None,
    progress: Progress,
) -> Accuracy | Detections:
    """Run every sample through a reference and its candidate; errors as of `compare_runners`.

    Args:
        pair: Both.
        reference: Opens the reference.
        samples: What they are given.
        least: The least agreement that passes; None takes the precision's.
        progress: Told the step.
    """
    batch = pair.batch_size(BATCH)
    with reference() as theirs, pair.open_candidate() as candidate:
        precision = pair.candidate.precision
        return compare_runners((theirs, candidate), precision, samples, batch, progress, least)


def compare_runners(
    runners: tuple[Runner, Runner],
    precision: str,
    samples: Dataset,
    batch: int,
    progress: Progress,
    least: float | None = None,
) -> Accuracy | Detections:
    """Run every sample through both: as detectors, if boxes or their outputs say so.

    Args:
        runners: The reference, and the candidate under its names.
        precision: The candidate's.
        samples: What they are given.
        batch: How many at a time.
        progress: Told the step.
        least: The least agreement that passes; None takes the precision's.

    Raises:
        InputError: A sample cannot be used, or the outputs are of no known convention.
        UsageError: The models take other inputs than the samples give.
        ValidationError: The candidate cannot be run.
    """
    theirs, candidate = runners
    truths = samples.truths()
    batches = samples.batches(batch)
    if truths is not None or may_detect(_shown(theirs, candidate)):
        progress(f"detecting in {len(samples)} samples")
        required = detections.AGREEMENT[precision] if least is None else least
        return measure_detections(theirs, candidate, batches, truths, required)
    progress(f"classifying {len(samples)} samples")
    required = AGREEMENT[precision] if least is None else least
    count = len(samples.classes or ()) if samples.by_place else None
    return measure_accuracy(theirs, candidate, batches, required, count)


def _shown(reference: Runner, candidate: Runner) -> tuple[TensorSpec, ...]:
    """Give the outputs of whichever knows their shapes: a module does not before it is run."""
    known = any(spec.shape for spec in reference.outputs)
    return (reference if known else candidate).outputs

"""How both models classify samples."""

from __future__ import annotations

from pathlib import Path

from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import TensorSpec
from simam_deploy.source.options import SampleOptions
from simam_deploy.source.samples import Dataset, open_dataset
from simam_deploy.verify.accuracy import AGREEMENT, BATCH, measure_accuracy
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.report import Accuracy


def open_samples(samples: SampleOptions, pair: Pair) -> Dataset | None:
    """Open the samples, if there are any, at the first case's sizes, as a model states to.

    Raises:
        InputError: They cannot be used.
        UsageError: The limit is below 1.
    """
    if samples.data is None:
        return None
    shape = pair.shapes[0][0]
    spec = TensorSpec(pair.inputs[0].name, "float32", ("batch", *shape[1:]))
    facts = pair.subject.facts.get("preprocessing") or pair.candidate.preprocessing
    return open_dataset(Path(samples.data), spec, facts, limit=samples.limit)


def compare_classes(
    pair: Pair, samples: Dataset, least: float | None, progress: Progress
) -> Accuracy:
    """Run every sample through both models.

    Args:
        pair: Both.
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
    with pair.subject.reference() as reference, pair.open_candidate() as candidate:
        return measure_accuracy(reference, candidate, batches, required)

"""How both models classify samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import TensorSpec
from simam_deploy.source.samples import Dataset, open_dataset
from simam_deploy.verify.accuracy import AGREEMENT, BATCH, measure_accuracy
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.report import Accuracy


@dataclass(frozen=True)
class Data:
    """Samples to hold the models against each other on.

    Attributes:
        path: A folder, .npz or .npy, as `simam_deploy.source.samples` takes.
        limit: The most samples; None takes all.
        min_agreement: The least agreement that passes; None takes the precision's.
    """

    path: Path
    limit: int | None = None
    min_agreement: float | None = None


def open_samples(data: Data, pair: Pair) -> Dataset:
    """Open the samples, at the first case's sizes, with the preprocessing that a model states.

    Raises:
        InputError: They cannot be used.
        UsageError: The limit is below 1.
    """
    shape = pair.shapes[0][0]
    spec = TensorSpec(pair.inputs[0].name, "float32", ("batch", *shape[1:]))
    facts = pair.subject.facts.get("preprocessing") or pair.candidate.preprocessing
    return open_dataset(data.path, spec, facts, limit=data.limit)


def compare_classes(pair: Pair, samples: Dataset, data: Data, progress: Progress) -> Accuracy:
    """Run every sample through both models.

    Raises:
        InputError: A sample cannot be used.
        UsageError: The models take more than one input.
        ValidationError: The candidate cannot be run.
    """
    progress(f"classifying {len(samples)} samples")
    least = data.min_agreement
    required = AGREEMENT[pair.candidate.precision] if least is None else least
    batches = samples.batches(pair.batch_size(BATCH))
    with pair.subject.reference() as reference, pair.open_candidate() as candidate:
        return measure_accuracy(reference, candidate, batches, required)

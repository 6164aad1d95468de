"""How both models classify samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simam_deploy.accuracy import AGREEMENT, BATCH, measure_accuracy
from simam_deploy.artifacts import TensorSpec
from simam_deploy.comparison_report import Accuracy
from simam_deploy.dataset import Dataset, open_dataset
from simam_deploy.pair import Pair


@dataclass(frozen=True)
class Data:
    """Samples to hold the models against each other on.

    Attributes:
        path: A folder, .npz or .npy, as `simam_deploy.dataset` takes.
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


def compare_classes(
    pair: Pair, samples: Dataset, data: Data, progress: Callable[[str], None]
) -> Accuracy:
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

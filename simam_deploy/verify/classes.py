"""What both models make of samples: classes, or detections."""

from __future__ import annotations

from pathlib import Path

from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import TensorSpec
from simam_deploy.source.options import SampleOptions
from simam_deploy.source.samples import Dataset, open_dataset
from simam_deploy.verify import detections
from simam_deploy.verify.accuracy import AGREEMENT, BATCH, measure_accuracy
from simam_deploy.verify.decoding import may_detect
from simam_deploy.verify.detections import measure_detections
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.report import Accuracy, Detections


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
    names = pair.subject.facts.get("classes")
    return open_dataset(Path(samples.data), spec, facts, limit=samples.limit, names=names)


def compare_samples(
    pair: Pair, samples: Dataset, least: float | None, progress: Progress
) -> Accuracy | Detections:
    """Run every sample through both models: as detectors, if boxes or their outputs say so.

    Args:
        pair: Both.
        samples: What they are given.
        least: The least agreement that passes; None takes the precision's.
        progress: Told the step.

    Raises:
        InputError: A sample cannot be used, or the outputs are of no known convention.
        UsageError: The models take more than one input.
        ValidationError: The candidate cannot be run.
    """
    precision, truths = pair.candidate.precision, samples.truths()
    batches = samples.batches(pair.batch_size(BATCH))
    with pair.subject.reference() as reference, pair.open_candidate() as candidate:
        if truths is not None or may_detect(reference.outputs):
            progress(f"detecting in {len(samples)} samples")
            required = detections.AGREEMENT[precision] if least is None else least
            return measure_detections(reference, candidate, batches, truths, required)
        progress(f"classifying {len(samples)} samples")
        required = AGREEMENT[precision] if least is None else least
        return measure_accuracy(reference, candidate, batches, required)

"""Two detectors on the same samples: mean average precision of each, and how often they agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from simam_deploy.core.arrays import Feeds
from simam_deploy.detect.decoding import SURE, Decode, Found, find_decoder
from simam_deploy.detect.overlap import pair_boxes
from simam_deploy.errors import InputError
from simam_deploy.runtime.protocol import Runner
from simam_deploy.source.samples import Batch, Truth
from simam_deploy.verify.accuracy import run_batch
from simam_deploy.verify.mean_precision import (
    mask_precision,
    mean_precision,
    require_pycocotools,
)
from simam_deploy.verify.report import Detections, MeanPrecision
from simam_deploy.verify.rle import Rle, rles_of

_MEASURED = 0.001
"""Those above this are measured against boxes that are known: precision wants the unsure too."""
_OVERLAP = 0.5

AGREEMENT: Mapping[str, float] = {
    "fp32": 0.999,
    "fp16": 0.98,
    "bf16": 0.95,
    "int8": 0.9,
    "fp8": 0.9,
}
"""The least F1, by the candidate's precision. A detection comes or goes where its score lies
within the rounding error of `SURE`, or its overlap with another within that of 0.7. Of a network of
drawn weights, whose cells are equally sure, fp16 kept 0.994 of 158 detections and bf16 0.978; what
int8 costs is for its user to say."""


def measure_detections(
    reference: Runner,
    candidate: Runner,
    batches: Iterable[Batch],
    truths: Iterator[Truth] | None,
    required: float,
) -> Detections:
    """Run every sample through both.

    Args:
        reference: Takes what samples give; its outputs are of a convention that `decoding` knows.
        candidate: Takes and gives the same under the same names.
        batches: The samples; where an input's batch is fixed, no larger than that.
        truths: What lies in each sample, in the same order, if that is known.
        required: The least agreement that passes.

    Raises:
        InputError: The outputs are of no known convention, a label is beyond the classes, there are
            no samples, or neither model is sure of anything; or pycocotools is missing.
        UsageError: The model takes other inputs than the samples give.
    """
    if truths is not None:
        require_pycocotools()
    known: list[Truth] = []
    sides = _Side(), _Side()
    decode: Decode | None = None
    for batch in batches:
        outputs = [run_batch(runner, batch) for runner in (reference, candidate)]
        if decode is None:
            decode, classes = find_decoder(outputs[0], reference.name)
        new = list(islice(truths, len(batch))) if truths is not None else []
        known += _checked(new, classes)
        least = SURE if truths is None else _MEASURED
        for side, out in zip(sides, outputs, strict=True):
            side.add(_decoded(decode, out, least, len(batch)), new)
    return _summary(*sides, known if truths is not None else None, required)


class _Side:
    """What one of the models detected so far; masks as runs, which of a picture are some kB."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self._in_pictures: list[Found] = []
        self._masks: list[Sequence[Rle] | None] = []

    def add(self, found: Sequence[Found], truths: Sequence[Truth]) -> None:
        """Add what was detected in pictures, of which truths are known for all or for none."""
        self.found += [replace(each, masks=None) for each in found]
        for each, truth in zip(found, truths, strict=False):
            moved = replace(each, boxes=truth.placement.to_picture(each.boxes))
            masked = truth.segments is not None
            self._masks.append(rles_of(moved, truth.placement.picture) if masked else None)
            self._in_pictures.append(replace(moved, masks=None))

    def precision(self, truths: Sequence[Truth] | None) -> MeanPrecision | None:
        """Measure the boxes."""
        return None if truths is None else mean_precision(truths, self._in_pictures)

    def mask_precision(self, truths: Sequence[Truth] | None) -> MeanPrecision | None:
        """Measure the masks."""
        return None if truths is None else mask_precision(truths, self._in_pictures, self._masks)


def _decoded(decode: Decode, outputs: Feeds, least: float, count: int) -> list[Found]:
    """Decode a batch; a candidate whose outputs have other shapes detects nothing."""
    try:
        found = list(decode(outputs, least))
    except (IndexError, KeyError, ValueError):
        found = []
    none = Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    return [*found, *[none] * count][:count]


def _checked(truths: Sequence[Truth], classes: int | None) -> Sequence[Truth]:
    for truth in truths:
        largest = int(truth.labels.max(initial=-1))
        if classes is not None and largest >= classes:
            raise InputError(f"{truth.name} has label {largest}, the model knows {classes} classes")
    return truths


def _summary(
    reference: _Side, candidate: _Side, truths: Sequence[Truth] | None, required: float
) -> Detections:
    samples = len(reference.found)
    if not samples:
        raise InputError("there are no samples to measure detections on")
    agreement = _agreement(reference.found, candidate.found)
    if not agreement.ours + agreement.theirs:
        raise InputError(
            f"neither model detects anything with a score above {SURE:g} in "
            f"{samples} samples: give some that show what it detects"
        )
    return Detections(
        samples=samples,
        agreement=agreement.f1,
        required=required,
        found=agreement.ours,
        lost=agreement.ours - agreement.pairs,
        added=agreement.theirs - agreement.pairs,
        mean_iou=agreement.overlap / agreement.pairs if agreement.pairs else None,
        score_difference=agreement.score,
        reference=reference.precision(truths),
        candidate=candidate.precision(truths),
        reference_masks=reference.mask_precision(truths),
        candidate_masks=candidate.mask_precision(truths),
    )


@dataclass(frozen=True)
class _Agreement:
    """Counts of detections, of pairs, the sum of their overlaps, their largest score difference."""

    ours: int
    theirs: int
    pairs: int
    overlap: float
    score: float

    @property
    def f1(self) -> float:
        """The share of detections that are in a pair."""
        return 2 * self.pairs / (self.ours + self.theirs)


def _agreement(ours: Sequence[Found], theirs: Sequence[Found]) -> _Agreement:
    """Pair what both are sure of: of one class, overlapping by half."""
    sure = [[each.above(SURE) for each in side] for side in (ours, theirs)]
    overlap, apart, pairs = 0.0, 0.0, 0
    for a, b in zip(*sure, strict=True):
        same = a.labels[:, None] == b.labels[None]
        for i, j, over in pair_boxes(a.boxes, b.boxes, same, _OVERLAP):
            pairs, overlap = pairs + 1, overlap + over
            apart = max(apart, abs(float(a.scores[i] - b.scores[j])))
    one, other = (sum(len(each.scores) for each in side) for side in sure)
    return _Agreement(one, other, pairs, overlap, apart)

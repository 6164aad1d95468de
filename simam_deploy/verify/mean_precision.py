"""Mean average precision of boxes and of masks as COCO defines it, by COCO's own: pycocotools.

Precision at 101 recalls, averaged over classes and over overlaps of 0.5 to 0.95 in steps of 0.05;
things of every area, the 100 surest of a class and picture, crowds ignored
(https://cocodataset.org/#detection-eval).
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simam_deploy.detect.decoding import Found
from simam_deploy.errors import InputError
from simam_deploy.source.samples import Truth
from simam_deploy.verify.report import MeanPrecision
from simam_deploy.verify.rle import Rle, rle_of

_MOST = 100
_EVERY_AREA = (0.0, 1e10)


def require_pycocotools() -> None:
    """Check, before any work, that pycocotools is there.

    Raises:
        InputError: It is not; the message says which package to install.
    """
    if importlib.util.find_spec("pycocotools") is None:
        raise InputError(
            "mean average precision needs pycocotools, which is missing: "
            "pip install 'simam-deploy[detection]'"
        )


def mean_precision(truths: Sequence[Truth], found: Sequence[Found]) -> MeanPrecision | None:
    """Measure the boxes of detections against what lies in the pictures.

    Args:
        truths: A picture each.
        found: What was detected in each, boxes in pixels of the picture.

    Returns:
        None where no picture has a box that counts.
    """
    return _measured("bbox", truths, list(_true(truths)), list(_detected(found)))


def mask_precision(
    truths: Sequence[Truth], found: Sequence[Found], masks: Sequence[Sequence[Rle] | None]
) -> MeanPrecision | None:
    """Measure the masks of detections against the outlines of what lies in the pictures.

    Args:
        truths: A picture each.
        found: What was detected in each.
        masks: A mask in the picture for each of that.

    Returns:
        None where no picture has a thing that counts, or masks or outlines are missing.
    """
    if any(truth.segments is None for truth in truths) or any(each is None for each in masks):
        return None
    true = [
        rle_of(segment, truth.placement.picture)
        for truth in truths
        for segment in truth.segments or ()
    ]
    given = [each for picture in masks for each in picture or ()]
    return _measured(
        "segm",
        truths,
        [{**box, "segmentation": mask} for box, mask in zip(_true(truths), true, strict=True)],
        [{**box, "segmentation": mask} for box, mask in zip(_detected(found), given, strict=True)],
    )


def _measured(
    kind: str,
    truths: Sequence[Truth],
    true: Sequence[dict[str, Any]],
    detected: Sequence[dict[str, Any]],
) -> MeanPrecision | None:
    """Have COCO's code measure entries of its own form, by their `kind`: bbox or segm."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step
        wanted, given = COCO(), COCO()
        wanted.dataset = _document(truths, true)
        given.dataset = _document(truths, detected)
        wanted.createIndex()
        given.createIndex()
        evaluation = COCOeval(wanted, given, kind)
        evaluation.params.maxDets = [_MOST]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [list(_EVERY_AREA)], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]  # overlaps, recalls, classes
    if not (precision >= 0).any():
        return None
    return MeanPrecision(_mean(precision), _mean(precision[0]))


def _mean(precision: npt.NDArray[np.float64]) -> float:
    """Average over what there is: -1 stands for a class without boxes."""
    return float(precision[precision >= 0].mean())


def _document(truths: Sequence[Truth], boxes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    labels = sorted({int(label) for truth in truths for label in truth.labels})
    sides = (truth.placement.picture for truth in truths)
    return {
        "images": [{"id": i, "height": h, "width": w} for i, (h, w) in enumerate(sides)],
        "categories": [{"id": label} for label in labels],
        "annotations": [{"id": number, **box} for number, box in enumerate(boxes, start=1)],
    }


def _true(truths: Sequence[Truth]) -> Iterator[dict[str, Any]]:
    for number, truth in enumerate(truths):
        for box, label, crowd in zip(truth.boxes, truth.labels, truth.crowd, strict=True):
            yield {**_box(number, box, label), "iscrowd": int(crowd)}


def _detected(found: Sequence[Found]) -> Iterator[dict[str, Any]]:
    for number, each in enumerate(found):
        for box, label, score in zip(each.boxes, each.labels, each.scores, strict=True):
            yield {**_box(number, box, label), "score": float(score), "iscrowd": 0}


def _box(number: int, box: npt.NDArray[np.float64], label: int) -> dict[str, Any]:
    x, y = float(box[0]), float(box[1])
    width, height = (float(side) for side in box[2:] - box[:2])
    place = {"image_id": number, "category_id": int(label)}
    return {**place, "bbox": [x, y, width, height], "area": width * height}

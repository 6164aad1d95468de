"""Mean average precision as COCO defines it, by COCO's own code: pycocotools.

Precision at 101 recalls, averaged over classes and over overlaps of 0.5 to 0.95 in steps of 0.05;
boxes of every area, the 100 surest of a class and picture, crowds ignored
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

from simam_deploy.errors import InputError
from simam_deploy.source.samples import Truth
from simam_deploy.detect.decoding import Found
from simam_deploy.verify.report import MeanPrecision

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
    """Measure detections against what lies in the pictures.

    Args:
        truths: A picture each.
        found: What was detected in each, boxes in pixels of the picture.

    Returns:
        None where no picture has a box that counts.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step
        wanted, given = COCO(), COCO()
        wanted.dataset = _document(truths, list(_true(truths)))
        given.dataset = _document(truths, list(_detected(found)))
        wanted.createIndex()
        given.createIndex()
        evaluation = COCOeval(wanted, given, "bbox")
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
    return {
        "images": [{"id": number} for number in range(len(truths))],
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

"""The detectors' two operators, written as their contract reads: sample by sample, box by box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simam_deploy.op.detection import NOTHING, STRIDES

Array = npt.NDArray[Any]


def roi_align(
    rois: Array, maps: Sequence[Array], size: int, sampling_ratio: int, finest_scale: float
) -> Array:
    """(N * R, C, S, S) in float64 of rois (N, R, 4)."""
    planes = [np.asarray(level, np.float64) for level in maps]
    bins = [
        _bins(roi, [level[image] for level in planes], size, sampling_ratio, finest_scale)
        for image, rows in enumerate(rois.astype(np.float64))
        for roi in rows
    ]
    return np.stack(bins)


def _bins(
    roi: Array, planes: Sequence[Array], size: int, sampling_ratio: int, finest_scale: float
) -> Array:
    out = np.zeros((planes[0].shape[0], size, size))
    width, height = roi[2] - roi[0], roi[3] - roi[1]
    if width <= 0 or height <= 0:
        return out
    level = math.floor(math.log2(math.sqrt(width * height) / finest_scale + 1e-6))
    level = min(max(level, 0), 3)
    x, y = roi[0] / STRIDES[level] - 0.5, roi[1] / STRIDES[level] - 0.5
    across, down = width / STRIDES[level] / size, height / STRIDES[level] / size
    columns, rows = sampling_ratio or math.ceil(across), sampling_ratio or math.ceil(down)
    for i, j in np.ndindex(size, size):
        for k, m in np.ndindex(rows, columns):
            at = y + (i + (k + 0.5) / rows) * down, x + (j + (m + 0.5) / columns) * across
            out[:, i, j] += _sample(planes[level], *at) / (rows * columns)
    return out


def _sample(plane: Array, y: float, x: float) -> Array:
    _, height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(len(plane))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    upper = plane[:, top, left] * (1 - u) + plane[:, top, right] * u
    lower = plane[:, below, left] * (1 - u) + plane[:, below, right] * u
    return np.asarray(upper * (1 - v) + lower * v)


def nms(boxes: Array, scores: Array, groups: Array, iou_threshold: float) -> Array:
    """The scores (B, M) of what greedy suppression keeps, `NOTHING` elsewhere."""
    kept = np.full_like(scores, NOTHING)
    for entry in range(len(scores)):
        chosen: list[int] = []
        for index in np.argsort(-scores[entry], kind="stable"):
            rivals = [other for other in chosen if groups[entry, other] == groups[entry, index]]
            overlaps = (_iou(boxes[entry, other], boxes[entry, index]) for other in rivals)
            if scores[entry, index] > NOTHING and not any(v > iou_threshold for v in overlaps):
                chosen.append(int(index))
        kept[entry, chosen] = scores[entry, chosen]
    return kept


def _iou(one: Array, other: Array) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    common = float(np.prod(np.maximum(sides.astype(np.float64), 0)))
    areas = [float(np.prod((box[2:] - box[:2]).astype(np.float64))) for box in (one, other)]
    return common / (sum(areas) - common) if common else 0.0

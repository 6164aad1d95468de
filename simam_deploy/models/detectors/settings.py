"""What a detector computes with and its keys do not say. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from simam_deploy.errors import InputError

LARGEST_COUNT = 10_000
"""Boxes that any step may keep: the overlaps of so many take 400 MB."""
LARGEST_RATIO = 16
"""Samples each way of a RoIAlign's bin: what a hundred RoIs take grows with the square."""
LARGEST_SIZE = 64
"""Bins each way of a mask's RoIAlign."""


@dataclass(frozen=True)
class DetectorSettings:
    """The settings of a Faster or Mask R-CNN; the defaults are those that the authors trained with.

    Lambda is none of them, nor is how a picture becomes an input. Boxes and sizes are in pixels of
    the input, without the "+ 1" of mmdetection 1.x; RoIAlign is `aligned`, the scores of the RPN
    are sigmoids, those of the boxes a softmax with the background last.

    Attributes:
        strides: Pixels between the anchors of each level, fine to coarse.
        scales: Sides of a level's square anchors over its stride.
        ratios: Heights over widths of the anchors, of which each has the area of the square.
        rpn_means: What is added to the four numbers (dx, dy, dw, dh) of the RPN...
        rpn_stds: ...after these were multiplied with them.
        box_means: The same of the box head...
        box_stds: ...and its factors.
        nms_pre: Boxes that each level enters the RPN's suppression with, those of highest score.
        rpn_iou: The overlap above which the RPN suppresses, level by level.
        max_proposals: Proposals an image, of all levels.
        min_size: Proposals have sides of more than this; in pixels.
        sampling_ratio: Samples each way of a bin of RoIAlign; 0: as many as the bin has pixels.
        finest_scale: A RoI of less than twice this side is read from the finest level.
        mask_size: Bins each way of the mask head's RoIAlign; its masks are twice as large.
        score_threshold: A detection's score is above it.
        iou_threshold: The overlap above which detections of one class suppress each other.
        max_detections: Detections an image.
        mask_threshold: A pixel belongs to an object from this probability on.

    Raises:
        InputError: A number is none that a detector can compute with.
    """

    strides: tuple[int, ...] = (4, 8, 16, 32, 64)
    scales: tuple[float, ...] = (8.0,)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rpn_means: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    rpn_stds: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    box_means: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    box_stds: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)
    nms_pre: int = 1000
    rpn_iou: float = 0.7
    max_proposals: int = 1000
    min_size: float = 0.0
    sampling_ratio: int = 0
    finest_scale: float = 56.0
    mask_size: int = 14
    score_threshold: float = 0.05
    iou_threshold: float = 0.5
    max_detections: int = 100
    mask_threshold: float = 0.5

    def __post_init__(self) -> None:
        _check("strides", self.strides, all(stride >= 1 for stride in self.strides), "1 or more")
        for name in ("scales", "ratios", "rpn_stds", "box_stds", "finest_scale"):
            _check(name, getattr(self, name), _positive(_several(getattr(self, name))), "above 0")
        for name in ("rpn_means", "box_means"):
            _check(
                name, getattr(self, name), all(map(math.isfinite, getattr(self, name))), "finite"
            )
        for name in ("rpn_means", "rpn_stds", "box_means", "box_stds"):
            _check(name, getattr(self, name), len(getattr(self, name)) == 4, "four numbers")
        for name in ("nms_pre", "max_proposals", "max_detections"):
            wanted = f"from 1 to {LARGEST_COUNT}"
            _check(name, getattr(self, name), 1 <= getattr(self, name) <= LARGEST_COUNT, wanted)
        for name in ("rpn_iou", "iou_threshold", "score_threshold", "mask_threshold"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "from 0 to 1")
        _check("min_size", self.min_size, 0 <= self.min_size < math.inf, "0 or more")
        fits = 0 <= self.sampling_ratio <= LARGEST_RATIO
        _check("sampling_ratio", self.sampling_ratio, fits, f"from 0 to {LARGEST_RATIO}")
        fits = 1 <= self.mask_size <= LARGEST_SIZE
        _check("mask_size", self.mask_size, fits, f"from 1 to {LARGEST_SIZE}")

    @property
    def anchors(self) -> int:
        """Anchors a cell."""
        return len(self.scales) * len(self.ratios)


def _several(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _positive(values: Iterable[float]) -> bool:
    return all(0 < value < math.inf for value in values)


def _check(name: str, value: object, fits: bool, wanted: str) -> None:
    if not fits:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise InputError(f"a detector cannot compute with {name} {shown}: it must be {wanted}")

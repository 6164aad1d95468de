"""What a detector computes with and its keys do not say. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable
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
        for names, wanted, fits in _RULES:
            for name in names:
                value = getattr(self, name)
                if not all(map(fits, value if isinstance(value, tuple) else (value,))):
                    raise _unfit(name, value, wanted)
        for name, count in _COUNTS.items():
            if len(getattr(self, name)) != count:
                raise _unfit(name, getattr(self, name), f"{count} numbers")
        if not self.scales or not self.ratios:
            raise InputError("a detector cannot compute without scales and ratios of its anchors")

    @property
    def anchors(self) -> int:
        """Anchors a cell."""
        return len(self.scales) * len(self.ratios)


_POSITIVE = ("scales", "ratios", "rpn_stds", "box_stds", "finest_scale")
_NUMBERS = ("nms_pre", "max_proposals", "max_detections")
_SHARES = ("rpn_iou", "iou_threshold", "score_threshold", "mask_threshold")
_RULES: tuple[tuple[tuple[str, ...], str, Callable[[float], bool]], ...] = (
    (("strides",), "1 or more", lambda value: 1 <= value < math.inf),
    (_POSITIVE, "above 0", lambda value: 0 < value < math.inf),
    (("rpn_means", "box_means"), "finite", math.isfinite),
    (_NUMBERS, f"from 1 to {LARGEST_COUNT}", lambda value: 1 <= value <= LARGEST_COUNT),
    (_SHARES, "from 0 to 1", lambda value: 0 <= value <= 1),
    (("min_size",), "0 or more", lambda value: 0 <= value < math.inf),
    (("sampling_ratio",), f"from 0 to {LARGEST_RATIO}", lambda value: 0 <= value <= LARGEST_RATIO),
    (("mask_size",), f"from 1 to {LARGEST_SIZE}", lambda value: 1 <= value <= LARGEST_SIZE),
)
_COUNTS = {"strides": 5, "rpn_means": 4, "rpn_stds": 4, "box_means": 4, "box_stds": 4}


def _unfit(name: str, value: object, wanted: str) -> InputError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return InputError(f"a detector cannot compute with {name} {shown}: it must be {wanted}")

"""What mmdetection itself made of the SimAM authors' detectors, on two inputs each.

Recorded by mmdet 2.28.2 with mmcv's own C++ operators around the authors' backbone, in float64
(the NMS of mmcv is float32 alone). Weights are drawn by the recipe of `tests.golden`, then times
`scale[key]` and plus `shift[key][index]`, both in float32. An image is a sum of blocks of 48, 12
and 1 pixels, at the top left of zeros. The inputs were picked so that mmdet finds the same boxes in
float32 as in float64; order is no part of it, since near-equal scores swap places.

`<input>.proposals` are x1 y1 x2 y2 score, `dets` too, in pixels of the original image where
`rescale`; `mask_prob` are the first ten detections', `mask_bits` the first twenty, pasted.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tests.golden import Output, _noise, _sampled, _tensor

_FOLDER = Path(__file__).parent
CASES = ("faster_rcnn_r50", "mask_rcnn_r50")
INPUTS = ("plain", "padded")
_BLOCKS = ((48, 0.8), (12, 0.5), (1, 0.3))
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Pairs:
    """Which of one set is which of another, one to one, and how far off.

    Attributes:
        index: For each that was wanted, its place among those that were got; -1 where it is lost.
        added: How many were got that nobody wanted.
        pixels: The largest difference of a coordinate.
        score: The largest difference of a score.
    """

    index: Array
    added: int
    pixels: float
    score: float

    @property
    def lost(self) -> int:
        """How many were wanted and not got."""
        return int((self.index < 0).sum())


@dataclass(frozen=True)
class Input:
    """One input, and what was recorded for it.

    Attributes:
        image: (1, 3, H, W) float32, padded.
        image_size: (1, 2) float32, without the padding.
        scale_factor: What mmdetection divides boxes by: (4,).
        maps: Sampled inner values by name, one a level where there are levels.
        proposals: (1000, 5).
        dets: (100, 5), in pixels of the original image.
        labels: (100,).
        mask_prob: (10, 28, 28); none in a Faster R-CNN.
        masks: The first 20 pasted: bool (20, height, width) of the original image.
    """

    image: torch.Tensor
    image_size: torch.Tensor
    scale_factor: Array
    maps: Mapping[str, tuple[Output, ...]]
    proposals: Array
    dets: Array
    labels: Array
    mask_prob: Array | None
    masks: Array | None

    def pairs(self, boxes: Array, scores: Array, labels: Array) -> Pairs:
        """Hold detections, in pixels of the input, against those recorded."""
        return pair(self.dets, self.labels, boxes / self.scale_factor, scores, labels)


@dataclass(frozen=True)
class GoldenDetector:
    """A checkpoint and what it makes of two inputs."""

    name: str
    e_lambda: float
    state_dict: dict[str, torch.Tensor]
    inputs: Mapping[str, Input]


def golden_detector(case: str) -> GoldenDetector:
    """Load one of `CASES`; the state_dict is filled anew, in float32, keys as in the file."""
    facts, arrays = _facts(case), np.load(_FOLDER / f"{case}.npz")
    statistics = np.load(_FOLDER / facts["statistics"])
    state = {
        key: _weight(key, tuple(s), statistics, facts) for key, s in facts["state_dict"].items()
    }
    inputs = {name: _input(name, facts["inputs"][name], arrays) for name in INPUTS}
    return GoldenDetector(case, facts["e_lambda"], state, inputs)


def golden_shapes(case: str) -> dict[str, tuple[int, ...]]:
    """Give the keys and shapes alone."""
    return {key: tuple(shape) for key, shape in _facts(case)["state_dict"].items()}


def pair(wanted: Array, wanted_labels: Array, boxes: Array, scores: Array, labels: Array) -> Pairs:
    """Pair boxes of one label whose coordinates all lie within 0.05 px, the nearest first.

    Args:
        wanted: (n, 5), x1 y1 x2 y2 score.
        wanted_labels: (n,).
        boxes: (m, 4).
        scores: (m,).
        labels: (m,).
    """
    far = np.abs(wanted[:, None, :4] - boxes[None]).max(2)
    far[wanted_labels[:, None] != labels[None]] = np.inf
    index, taken = np.full(len(wanted), -1), set()
    for row, column in sorted(np.argwhere(far <= 0.05).tolist(), key=lambda at: far[tuple(at)]):
        if index[row] < 0 and column not in taken:
            index[row] = column
            taken.add(column)
    hit = index >= 0
    pixels = far[hit, index[hit]].max(initial=0)
    score = np.abs(wanted[hit, 4] - scores[index[hit]]).max(initial=0)
    return Pairs(index, len(boxes) - len(taken), float(pixels), float(score))


@functools.cache
def _facts(case: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((_FOLDER / f"{case}.json").read_text())
    return facts


def _weight(
    key: str, shape: tuple[int, ...], statistics: Any, facts: Mapping[str, Any]
) -> torch.Tensor:
    values = _tensor(key, shape, statistics)
    if key in facts["scale"]:
        values = np.asarray(values * np.float32(facts["scale"][key]), np.float32)
    for index, change in facts["shift"].get(key, {}).items():
        values[int(index)] += np.float32(change)
    return torch.from_numpy(values)


def _input(name: str, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Input:
    image = np.zeros(facts["shape"], np.float32)
    height, width = facts["img_shape"]
    image[0, :, :height, :width] = _blocks(facts["key"], height, width)
    scale = np.array(facts["scale_factor"] if facts["rescale"] else [1.0] * 4)
    masks = facts.get("mask_shape")
    return Input(
        torch.from_numpy(image),
        torch.tensor([[height, width]], dtype=torch.float32),
        scale,
        {key: _outputs(facts[key]) for key in _MAPS},
        arrays[f"{name}.proposals"],
        arrays[f"{name}.dets"],
        arrays[f"{name}.labels"].astype(np.int64),
        arrays[f"{name}.mask_prob"] if masks else None,
        _unpacked(arrays[f"{name}.mask_bits"], masks[1:]) if masks else None,
    )


_MAPS = ("backbone", "fpn", "rpn_cls", "rpn_reg", "roi_feats", "cls_score", "bbox_pred")


def _outputs(facts: Any) -> tuple[Output, ...]:
    return tuple(map(_sampled, facts if isinstance(facts, list) else [facts]))


def _blocks(key: str, height: int, width: int) -> Array:
    total = np.zeros((3, height, width))
    for cell, weight in _BLOCKS:
        shape = (3, math.ceil(height / cell), math.ceil(width / cell))
        large = _noise(f"{key}.{cell}", shape).repeat(cell, 1).repeat(cell, 2)
        total += weight * large[:, :height, :width]
    return total


def _unpacked(bits: Array, shape: list[int]) -> Array:
    return np.unpackbits(bits, axis=1)[:, : math.prod(shape)].reshape(-1, *shape).astype(bool)

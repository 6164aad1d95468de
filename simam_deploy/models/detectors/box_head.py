"""Classes and boxes of proposals.

Source: Girshick, "Fast R-CNN", ICCV 2015; the head of two fully connected layers is FPN's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.detectors.boxes import alive, decode, only, split, take
from simam_deploy.models.detectors.operators import batched_nms
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.op.detection import NOTHING

CANDIDATES = 2000
"""Boxes that enter the suppression, those of highest score among all classes of all proposals."""


class Detections(NamedTuple):
    """What an image shows, by falling score; D places, filled with boxes and scores of 0.

    Attributes:
        num_dets: (N,) int64.
        boxes: (N, D, 4), x1 y1 x2 y2 in pixels of the input.
        scores: (N, D).
        labels: (N, D) int64; -1 where there is nothing.
    """

    num_dets: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor


class BoxHead(nn.Module):
    """From the maps of RoIs to detections.

    Of the scores above the threshold, the 2000 highest are candidates. That is exact where there
    are no more, or where `max_detections` of these are kept: greedy suppression never lets a lower
    score touch a higher one. The most seen, with drawn weights and 80 classes, are 1452.

    Args:
        features: Numbers a RoI.
        width: Of the hidden layers.
        layers: How many of them.
        classes: Without the background, which is the last of the logits.
        class_agnostic: One box a RoI, not one for each class.
        settings: Coder, thresholds and the number of detections.
    """

    def __init__(
        self,
        features: int,
        width: int,
        layers: int,
        classes: int,
        class_agnostic: bool,
        settings: DetectorSettings,
    ) -> None:
        super().__init__()
        self.settings, self.classes, self.class_agnostic = settings, classes, class_agnostic
        inputs = [features, *[width] * (layers - 1)]
        self.shared_fcs = nn.ModuleList(nn.Linear(number, width) for number in inputs)
        self.fc_cls = nn.Linear(width, classes + 1)
        self.fc_reg = nn.Linear(width, 4 if class_agnostic else 4 * classes)

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Give the logits (N R, K + 1) and the deltas (N R, 4 or 4 K) of (N R, C, S, S)."""
        hidden = features.flatten(1)
        for layer in self.shared_fcs:
            hidden = F.relu(layer(hidden))
        return self.fc_cls(hidden), self.fc_reg(hidden)

    def forward(
        self, features: Tensor, proposals: Tensor, found: Tensor, image_size: Tensor
    ) -> Detections:
        """Tell what the image shows.

        Args:
            features: (N * R, C, S, S).
            proposals: (N, R, 4).
            found: (N, R) bool, which of them there are.
            image_size: (N, 2): height and width, without the padding.
        """
        logits, deltas = self.heads(features)
        scores, index = self._candidates(logits, found)
        roi, label = split(index, self.classes)
        a_roi = 1 if self.class_agnostic else self.classes
        rows = deltas.reshape(-1, proposals.shape[1] * a_roi, 4)
        picked = take(rows, roi if self.class_agnostic else index)
        means, stds = self.settings.box_means, self.settings.box_stds
        boxes = decode(take(proposals, roi), picked, means, stds, image_size)
        kept = batched_nms(boxes, scores, label, self.settings.iou_threshold, self.classes)
        return self._detections(kept, boxes, label)

    def _candidates(self, logits: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        """Pick the highest scores: (N, candidates), and their place among (R, classes)."""
        proposals = found.shape[1]
        scores = logits.softmax(1)[:, : self.classes].reshape(-1, proposals, self.classes)
        wanted = found[..., None] & (scores > self.settings.score_threshold)
        every = torch.where(wanted, scores, NOTHING).flatten(1)
        return every.topk(min(CANDIDATES, proposals * self.classes), 1)

    def _detections(self, kept: Tensor, boxes: Tensor, label: Tensor) -> Detections:
        scores, index = kept.topk(min(self.settings.max_detections, kept.shape[1]), 1)
        found = alive(scores)
        return Detections(
            found.sum(1),
            only(take(boxes, index), found),
            only(scores, found),
            torch.where(found, label.gather(1, index), -1),
        )

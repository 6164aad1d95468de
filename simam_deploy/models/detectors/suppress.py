"""Greedy suppression of overlapping boxes, in torch.

The contract stands in `simam_deploy.op.detection`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simam_deploy.op.detection import NOTHING


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """Give the scores (B, M) of the boxes (B, M, 4) that are kept, `NOTHING` for others.

    What greedy suppression keeps is the one fixed point of keep = valid & ~any(beats & keep):
    the first box is right after one round, each later one once all before it are. Chains are
    short: 3 to 8 rounds on detectors with drawn weights.
    """
    valid = scores > NOTHING
    beaten_by = _overlap(boxes, iou_threshold) & _before(scores)
    beaten_by &= groups[:, :, None] == groups[:, None, :]
    keep, last = valid, torch.zeros_like(valid)
    while not torch.equal(keep, last):
        keep, last = valid & ~(beaten_by & keep[:, None, :]).any(2), keep
    return torch.where(keep, scores, NOTHING)


def _overlap(boxes: Tensor, iou_threshold: float) -> Tensor:
    """Tell which pairs (B, M, M) overlap by more than the threshold: intersection over union."""
    low, high = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    sides = torch.minimum(high, high.transpose(1, 2)) - torch.maximum(low, low.transpose(1, 2))
    common = sides.clamp(min=0).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
    return common > iou_threshold * (area[:, :, None] + area[:, None, :] - common)


def _before(scores: Tensor) -> Tensor:
    """Tell of (B, M, M) which box j comes before box i: of equal scores the first does."""
    mine, other = scores[:, :, None], scores[:, None, :]
    index = torch.arange(scores.shape[1], device=scores.device)
    earlier = index[None, :] < index[:, None]
    return (other > mine) | ((other == mine) & earlier)

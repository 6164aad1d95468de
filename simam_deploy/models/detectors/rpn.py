"""Region proposals.

Source: Ren et al., "Faster R-CNN", NeurIPS 2015, with one sigmoid an anchor and, per level, a
suppression of its own, as mmdetection has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.detectors.boxes import alive, decode, only, split, take
from simam_deploy.models.detectors.operators import batched_nms
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.op.detection import NOTHING


class RPN(nn.Module):
    """From a pyramid to the boxes that look most like objects.

    Args:
        inputs: Channels of the pyramid.
        width: Channels of the head.
        anchors: A cell.
        settings: Their sizes, coder and suppression.
    """

    def __init__(self, inputs: int, width: int, anchors: int, settings: DetectorSettings) -> None:
        super().__init__()
        self.settings = settings
        self.rpn_conv = nn.Conv2d(inputs, width, 3, padding=1)
        self.rpn_cls = nn.Conv2d(width, anchors, 1)
        self.rpn_reg = nn.Conv2d(width, anchors * 4, 1)

    def forward(self, pyramid: Sequence[Tensor], image_size: Tensor) -> tuple[Tensor, Tensor]:
        """Return proposals (N, R, 4), 0 where there is none, and which there are: (N, R) bool."""
        found = [
            self._best(*self.heads(level), stride)
            for level, stride in zip(pyramid, self.settings.strides, strict=True)
        ]
        logits, anchors, deltas = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        means, stds = self.settings.rpn_means, self.settings.rpn_stds
        return self._keep(decode(anchors, deltas, means, stds, image_size), logits)

    def heads(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Give the logits (N, A, H, W) of the anchors and (N, 4 A, H, W) deltas."""
        hidden = F.relu(self.rpn_conv(level))
        return self.rpn_cls(hidden), self.rpn_reg(hidden)

    def _best(self, logits: Tensor, deltas: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pick the `nms_pre` highest of a level: logits, anchors and deltas, (N, nms_pre, ...).

        Logits, not scores: in float32 all sigmoids above 17 are 1. A small level is filled up, so
        that their number hangs on no size; the filling's index is moved to a place that there is.
        """
        places = logits.flatten(1)
        filling = places.new_full((1, self.settings.nms_pre), NOTHING).expand(places.shape[0], -1)
        best, index = torch.cat([places, filling], 1).topk(self.settings.nms_pre, 1)
        cells = logits.shape[2] * logits.shape[3]
        index = index.clamp(max=self.settings.anchors * cells - 1)
        anchor, cell = split(index, cells)
        channels = anchor[..., None] * 4 + torch.arange(4, device=index.device)
        where = channels * cells + cell[..., None]
        picked = deltas.flatten(1).gather(1, where.flatten(1)).reshape(*best.shape, 4)
        return best, self._anchors(anchor, cell, logits.shape[3], stride, best.dtype), picked

    def _anchors(
        self, anchor: Tensor, cell: Tensor, width: int, stride: int, dtype: torch.dtype
    ) -> Tensor:
        """Give the boxes of anchors (N, M), each in a cell of a map of this width."""
        y, x = split(cell, width)
        centre = torch.stack([x, y, x, y], -1).to(dtype) * stride
        shapes = [[-w, -h, w, h] for w, h in self._half_sides(stride)]
        table = torch.tensor(shapes, dtype=dtype, device=anchor.device)
        return centre + F.embedding(anchor, table)

    def _half_sides(self, stride: int) -> list[tuple[float, float]]:
        """Half widths and heights of a cell's anchors: all scales of the first ratio first."""
        return [
            (stride * scale / math.sqrt(ratio) / 2, stride * scale * math.sqrt(ratio) / 2)
            for ratio in self.settings.ratios
            for scale in self.settings.scales
        ]

    def _keep(self, boxes: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Suppress level by level, each a batch entry; then take the best of all levels."""
        settings, levels = self.settings, len(self.settings.strides)
        sides = boxes[..., 2:] - boxes[..., :2]
        logits = torch.where(sides.amin(-1) > settings.min_size, logits, NOTHING)
        split = logits.reshape(-1, settings.nms_pre)
        groups = torch.zeros_like(split, dtype=torch.int64)
        entries = boxes.reshape(-1, settings.nms_pre, 4)
        kept = batched_nms(entries, split, groups, settings.rpn_iou, 1)
        kept = kept.reshape(-1, levels * settings.nms_pre)
        best, index = kept.topk(min(settings.max_proposals, levels * settings.nms_pre), 1)
        found = alive(best)
        return only(take(boxes, index), found), found

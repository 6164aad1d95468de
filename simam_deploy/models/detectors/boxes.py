"""Boxes from anchors and from what a head says about them, and picking rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from simam_deploy.op.detection import NOTHING

LARGEST_LOG_RATIO = abs(math.log(16 / 1000))
"""A head makes a box larger or smaller by at most 62.5."""


def decode(
    boxes: Tensor, deltas: Tensor, means: Sequence[float], stds: Sequence[float], image_size: Tensor
) -> Tensor:
    """Move and resize boxes as a head says, and cut them to the image.

    Source: Girshick et al., "Rich feature hierarchies", CVPR 2014, appendix C, with mmdetection's
    clamp of the ratios on both sides.

    Args:
        boxes: (N, M, 4), x1 y1 x2 y2.
        deltas: (N, M, 4): dx and dy in sizes of the box, logarithms of the ratios of the sides.
        means: Of the four numbers.
        stds: Their standard deviations.
        image_size: (N, 2): height and width, without the padding.

    Returns:
        (N, M, 4).
    """
    scaled = deltas * deltas.new_tensor(stds) + deltas.new_tensor(means)
    size = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., :2] + boxes[..., 2:]) * 0.5 + scaled[..., :2] * size
    ratio = scaled[..., 2:].clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()
    half = size * ratio * 0.5
    # The sides of the limit stand as the boxes' do: width, height.
    limit = torch.cat([image_size[:, 1:], image_size[:, :1]], 1)[:, None]
    corners = [(corner.clamp(min=0)).minimum(limit) for corner in (centre - half, centre + half)]
    return torch.cat(corners, -1)


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Pick of (N, M, K) the rows (N, m): (N, m, K)."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[2]))


def split(index: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Divide places in rows of `size`: which row, and where in it."""
    row = torch.div(index, size, rounding_mode="floor")
    # Not `%`, which torch's exporter does not take of a size that is free.
    return row, index - row * size


def alive(scores: Tensor) -> Tensor:
    """Tell which scores are of a box."""
    return scores > NOTHING


def only(values: Tensor, found: Tensor) -> Tensor:
    """Set (N, M, ...) to 0 where (N, M) found nothing."""
    return torch.where(found.view(*found.shape, *(1,) * (values.dim() - 2)), values, 0.0)

"""RoIAlign over a pyramid, in torch; the contract stands in `simam_deploy.op.detection`.

A bin's samples are a grid, and interpolation is a product of one weight each way. So their mean is
one of products: S x S bins of a map are Wy (S, H) @ map @ Wx' (W, S), whatever the number of
samples is. Wy and Wx are 0 outside of the RoI, which is cut out first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from simam_deploy.op.detection import STRIDES


class _Side(NamedTuple):
    """One axis of a RoI: weights (S, stop - first) over the pixels that it covers."""

    weights: Tensor
    first: int
    stop: int


def align(
    rois: Tensor, maps: Sequence[Tensor], size: int, sampling_ratio: int, finest_scale: float
) -> Tensor:
    """Give (N * R, C, S, S) of the maps' dtype; coordinates and sums are float32 at least."""
    exact = torch.promote_types(maps[0].dtype, torch.float32)
    read = [level.to(exact) for level in maps]
    nothing = maps[0].new_zeros((maps[0].shape[1], size, size))
    # A list, not a tensor that is written into: differentiating copies that once a RoI, 50 GB of
    # copies for 1000 of them.
    out = [nothing] * (rois.shape[0] * rois.shape[1])
    for image, row in _with_area(rois):
        roi = rois[image, row]
        chosen = int(level_of(roi, finest_scale))
        plane, corners = read[chosen][image], roi.to(exact) / STRIDES[chosen] - 0.5
        x1, y1, x2, y2 = corners.tolist()
        across = _side(x1, x2, size, sampling_ratio, plane[0, 0])
        down = _side(y1, y2, size, sampling_ratio, plane[0, :, 0])
        cut = plane[:, down.first : down.stop, across.first : across.stop]
        read_off = down.weights @ cut @ across.weights.T
        out[image * rois.shape[1] + row] = read_off.to(nothing.dtype)
    return torch.stack(out)


def level_of(rois: Tensor, finest_scale: float) -> Tensor:
    """Tell which of four maps each of (..., 4) RoIs is read from: 0 to 3, float."""
    width, height = rois[..., 2] - rois[..., 0], rois[..., 3] - rois[..., 1]
    side = torch.sqrt(width * height)
    return torch.floor(torch.log2(side / finest_scale + 1e-6)).clamp(0, len(STRIDES) - 1)


def _with_area(rois: Tensor) -> list[list[int]]:
    found: list[list[int]] = (rois[..., 2:] > rois[..., :2]).all(-1).nonzero().tolist()
    return found


def _side(low: float, high: float, size: int, sampling_ratio: int, line: Tensor) -> _Side:
    """Weigh the pixels of one axis.

    Args:
        low: Where the RoI begins, in pixels of the map, 0 being the middle of the first.
        high: Where it ends.
        size: Bins.
        sampling_ratio: Samples a bin; 0: as many as it has pixels, rounded up.
        line: The axis' pixels, for their number and dtype.
    """
    extent, bin_size = len(line), (high - low) / size
    samples = sampling_ratio or math.ceil(bin_size)
    steps = (torch.arange(size * samples, dtype=line.dtype, device=line.device) + 0.5) / samples
    at = low + steps * bin_size
    share = ((at >= -1) & (at <= extent)).to(line.dtype) / samples
    at = at.clamp(0, extent - 1)
    below = at.floor()
    upper, lower = (at - below) * share, below.long()
    first, stop = int(lower[0]), min(int(lower[-1]) + 2, extent)
    weights = line.new_zeros((size, stop - first))
    places = (lower - first).view(size, samples)
    weights.scatter_add_(1, places, (share - upper).view(size, samples))
    # The last pixel has none behind it: there the upper weight is 0.
    behind = (places + 1).clamp(max=stop - first - 1)
    weights.scatter_add_(1, behind, upper.view(size, samples))
    return _Side(weights, first, stop)

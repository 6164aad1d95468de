"""RoIAlign over a pyramid, in torch; the contract stands in `simam_deploy.op.detection`.

A bin's samples are a grid, and interpolation is a product of one weight each way. So their mean is
one of products: S x S bins of a map are Wy (S, H) @ map @ Wx' (W, S), whatever the number of
samples is. Wy and Wx are 0 outside of the RoI, which is cut out first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simam_deploy.op.detection import STRIDES


class _Side(NamedTuple):
    """One axis of a RoI: weights (S, stop - first) over the pixels that it covers."""

    weights: Tensor
    first: int
    stop: int


class _Window(NamedTuple):
    """What of a map one RoI, the row-th of its image, is read from."""

    row: int
    across: _Side
    down: _Side

    @property
    def place(self) -> tuple[slice, slice, slice]:
        """Where it lies in a map (C, H, W)."""
        down, across = self.down, self.across
        return slice(None), slice(down.first, down.stop), slice(across.first, across.stop)


def align(
    rois: Tensor, maps: Sequence[Tensor], size: int, sampling_ratio: int, finest_scale: float
) -> Tensor:
    """Give (N * R, C, S, S) of the maps' dtype; coordinates and sums are float32 at least."""
    exact = torch.promote_types(maps[0].dtype, torch.float32)
    read = [level.to(exact).unbind() for level in maps]
    nothing = maps[0].new_zeros((maps[0].shape[1], size, size))
    windows: dict[tuple[int, int], list[_Window]] = {}
    for image, row in _with_area(rois):
        roi = rois[image, row]
        chosen = int(level_of(roi, finest_scale))
        corners = (roi.to(exact) / STRIDES[chosen] - 0.5).tolist()
        window = _window(row, corners, size, sampling_ratio, read[chosen][image])
        windows.setdefault((chosen, image), []).append(window)
    # A list, not a tensor that is written into: differentiating copies that once a RoI, 50 GB of
    # copies for 1000 of them.
    out = [nothing] * (rois.shape[0] * rois.shape[1])
    for (chosen, image), cuts in windows.items():
        for window, cut in zip(cuts, _cut(read[chosen][image], cuts), strict=True):
            read_off = window.down.weights @ cut @ window.across.weights.T
            out[image * rois.shape[1] + window.row] = read_off.to(nothing.dtype)
    return torch.stack(out)


class _Cuts(torch.autograd.Function):
    """The windows of a map (C, H, W); their gradients are added up in one map.

    A slice each would make a map each to differentiate it: 140 GB for the 1000 proposals of a
    picture of 800x1344.
    """

    @staticmethod
    def forward(ctx: Any, plane: Tensor, windows: Sequence[_Window]) -> tuple[Tensor, ...]:
        ctx.shape, ctx.windows = plane.shape, windows
        return tuple(plane[window.place] for window in windows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].new_zeros(ctx.shape)
        for window, gradient in zip(ctx.windows, gradients, strict=True):
            total[window.place] += gradient
        return total, None


def _cut(plane: Tensor, windows: Sequence[_Window]) -> tuple[Tensor, ...]:
    cuts: tuple[Tensor, ...] = _Cuts.apply(plane, windows)  # type: ignore[no-untyped-call]
    return cuts


def _window(
    row: int, corners: Sequence[float], size: int, sampling_ratio: int, plane: Tensor
) -> _Window:
    x1, y1, x2, y2 = corners
    across = _side(x1, x2, size, sampling_ratio, plane[0, 0])
    down = _side(y1, y2, size, sampling_ratio, plane[0, :, 0])
    return _Window(row, across, down)


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

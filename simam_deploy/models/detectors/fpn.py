"""The pyramid of maps over a backbone.

Source: Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class ConvModule(nn.Module):
    """A convolution with bias that keeps the map's size, stored as `conv`, as mmcv does."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        out: Tensor = self.conv(x)
        return out


class FPN(nn.Module):
    """From four maps, each half the size of the one before, to five of one width.

    Args:
        inputs: Channels of the backbone's maps, fine to coarse.
        width: Channels of the pyramid's.
    """

    def __init__(self, inputs: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(ConvModule(channels, width, 1) for channels in inputs)
        self.fpn_convs = nn.ModuleList(ConvModule(width, width, 3) for _ in inputs)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return P2 to P6; each map's sides must be twice those of the next."""
        merged = [lateral(x) for lateral, x in zip(self.lateral_convs, maps, strict=True)]
        for level in range(len(merged) - 1, 0, -1):
            larger = F.interpolate(merged[level], scale_factor=2.0, mode="nearest")
            merged[level - 1] = merged[level - 1] + larger
        pyramid = [smooth(x) for smooth, x in zip(self.fpn_convs, merged, strict=True)]
        return [*pyramid, F.max_pool2d(pyramid[-1], 1, stride=2)]

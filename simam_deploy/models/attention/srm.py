"""SRM: Lee et al., "SRM: A Style-based Recalibration Module for CNNs", ICCV 2019."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_EPSILON = 1e-5


class SRM(nn.Module):
    """A gate for each channel, made of its own mean and deviation.

    y = x * sigmoid(BN(w1 m + w2 s)), with m the mean and s the standard deviation over height and
    width, w1 and w2 a number each for a channel. s is sqrt(v + 1e-5) of a variance v that divides
    by H*W - 1: both as the authors' code does and not their paper, which adds nothing and divides
    by H*W.

    Input and output: (N, C, H, W), H*W >= 2.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cfc = nn.Parameter(torch.zeros(channels, 2))
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` scaled by its gate."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        variance = (x - mean).square().sum(dim=(2, 3), keepdim=True)
        deviation = (variance / (x.shape[2] * x.shape[3] - 1) + _EPSILON).sqrt()
        of_mean, of_deviation = self.cfc[..., None, None].unbind(dim=1)
        return x * torch.sigmoid(self.bn(of_mean * mean + of_deviation * deviation))

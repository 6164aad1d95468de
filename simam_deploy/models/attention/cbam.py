"""CBAM: Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CBAM(nn.Module):
    """A gate for each channel, then one for each pixel; attributes are named as in its keys.

    Input and output: (N, C, H, W).

    Args:
        channels: C.
        hidden: Hidden channels of the first gate.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.ChannelGate = ChannelGate(channels, hidden)
        self.SpatialGate = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` scaled by both gates."""
        out: Tensor = self.SpatialGate(self.ChannelGate(x))
        return out


class ChannelGate(nn.Module):
    """x * sigmoid(f(mean) + f(max)), both over height and width, f(v) = W2 relu(W1 v + b1) + b2.

    Args:
        channels: C.
        hidden: Rows of W1.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Identity(),  # the authors flatten here: it counts in the keys
            nn.Linear(channels, hidden),
            nn.ReLU(),
            nn.Linear(hidden, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` scaled by its gate."""
        gate = torch.sigmoid(self.mlp(x.mean(dim=(2, 3))) + self.mlp(x.amax(dim=(2, 3))))
        return x * gate[..., None, None]


class SpatialGate(nn.Module):
    """x * sigmoid(BN(conv7x7([max, mean]))), both over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Sequential()
        self.spatial.add_module("conv", nn.Conv2d(2, 1, 7, padding=3, bias=False))
        self.spatial.add_module("bn", nn.BatchNorm2d(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` scaled by its gate."""
        seen = torch.cat((x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)), dim=1)
        return x * torch.sigmoid(self.spatial(seen))

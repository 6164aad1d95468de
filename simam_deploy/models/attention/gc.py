"""GC: Cao et al., "GCNet: Non-local Networks Meet Squeeze-Excitation Networks", ICCVW 2019."""

from __future__ import annotations

from torch import Tensor, nn


class GC(nn.Module):
    """Adds to each channel one number, made of a weighted mean over the map.

    y = x + W2 relu(LayerNorm(W1 c + b1)) + b2, with c = sum over pixels of a x and
    a = softmax over pixels of (k . x + b); attributes are named as the authors' are.

    Input and output: (N, C, H, W).

    Args:
        channels: C.
        hidden: Rows of W1.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        self.channel_add_conv = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.LayerNorm([hidden, 1, 1]),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with its context added."""
        weights = self.conv_mask(x).flatten(2).softmax(dim=-1)
        context = x.flatten(2) @ weights.transpose(1, 2)
        added: Tensor = x + self.channel_add_conv(context[..., None])
        return added

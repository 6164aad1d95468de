"""Squeeze-and-Excitation: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018."""

from __future__ import annotations

from torch import Tensor, nn


class SE(nn.Module):
    """A gate for each channel, made of every channel's mean.

    y = x * sigmoid(W2 relu(W1 m)), m the means over height and width; without biases, as the SimAM
    authors have it.

    Input and output: (N, C, H, W).

    Args:
        channels: C.
        hidden: Rows of W1.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` scaled by its gate."""
        gate: Tensor = self.fc(x.mean(dim=(2, 3)))
        return x * gate[..., None, None]

"""ECA: Wang et al., "ECA-Net: Efficient Channel Attention for Deep CNNs", CVPR 2020."""

from __future__ import annotations

import math

from torch import Tensor, nn


def kernel_of(channels: int) -> int:
    """Give the paper's kernel: (log2(C) + 1) / 2 without its fraction, and the next odd number."""
    size = int((math.log2(channels) + 1) / 2)
    return size + (size % 2 == 0)


class ECA(nn.Module):
    """A gate for each channel, made of its neighbours' means.

    y = x * sigmoid(w * m): m the means over height and width, convolved along the channels with
    one kernel w, zeros beyond the ends.

    Input and output: (N, C, H, W).

    Args:
        kernel: Its size, odd; `kernel_of` gives the paper's, and the authors' networks have others.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` scaled by its gate."""
        mixed: Tensor = self.conv(x.mean(dim=(2, 3))[:, None])
        return x * mixed.sigmoid().transpose(1, 2)[..., None]

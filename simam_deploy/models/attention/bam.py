"""BAM: Park et al., "BAM: Bottleneck Attention Module", BMVC 2018."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

_DILATION = 4


class BAM(nn.Module):
    """A gate for each value, made of a number for its channel and one for its pixel.

    y = x (1 + sigmoid(c p)), with c = W2 relu(BN(W1 m + b1)) + b2, m the means over height and
    width, and p four convolutions: 1x1 to `hidden` channels, two 3x3 of dilation 4, each with
    batch norm and ReLU behind it, and 1x1 to one. This is what the authors' code computes, whose
    keys these are; their paper adds c and p, and has one batch norm at the end of each.

    Input and output: (N, C, H, W).

    Args:
        channels: C.
        hidden: Rows of W1, and channels of the convolutions.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.channel_att = nn.Sequential(OrderedDict(gate_c=_channel_gate(channels, hidden)))
        self.spatial_att = nn.Sequential(OrderedDict(gate_s=_spatial_gate(channels, hidden)))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` scaled by its gate."""
        of_channel: Tensor = self.channel_att(x.mean(dim=(2, 3)))
        gate = torch.sigmoid(of_channel[..., None, None] * self.spatial_att(x))
        return x * (1 + gate)


def _channel_gate(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            gate_c_fc_0=nn.Linear(channels, hidden),
            gate_c_bn_1=nn.BatchNorm1d(hidden),
            gate_c_relu_1=nn.ReLU(),
            gate_c_fc_final=nn.Linear(hidden, channels),
        )
    )


def _spatial_gate(channels: int, hidden: int) -> nn.Sequential:
    def dilated() -> nn.Conv2d:
        return nn.Conv2d(hidden, hidden, 3, padding=_DILATION, dilation=_DILATION)

    return nn.Sequential(
        OrderedDict(
            gate_s_conv_reduce0=nn.Conv2d(channels, hidden, 1),
            gate_s_bn_reduce0=nn.BatchNorm2d(hidden),
            gate_s_relu_reduce0=nn.ReLU(),
            gate_s_conv_di_0=dilated(),
            gate_s_bn_di_0=nn.BatchNorm2d(hidden),
            gate_s_relu_di_0=nn.ReLU(),
            gate_s_conv_di_1=dilated(),
            gate_s_bn_di_1=nn.BatchNorm2d(hidden),
            gate_s_relu_di_1=nn.ReLU(),
            gate_s_conv_final=nn.Conv2d(hidden, 1, 1),
        )
    )

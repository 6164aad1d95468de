"""Masks of detections.

Source: He et al., "Mask R-CNN", ICCV 2017, figure 4, right.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.detectors.fpn import ConvModule


class MaskHead(nn.Module):
    """From the maps of RoIs to the probability of each pixel, of twice the size.

    Args:
        inputs: Channels of the pyramid.
        width: Channels of the head.
        layers: Convolutions before the map is made larger.
        planes: Classes, or 1 where all have one mask.
    """

    def __init__(self, inputs: int, width: int, layers: int, planes: int) -> None:
        super().__init__()
        before = [inputs, *[width] * (layers - 1)]
        self.convs = nn.ModuleList(ConvModule(channels, width, 3) for channels in before)
        self.upsample = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.conv_logits = nn.Conv2d(width, planes, 1)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Give the masks of the detections' own classes.

        Args:
            features: (N * D, C, S, S).
            labels: (N, D) int64; -1 where there is nothing.

        Returns:
            (N, D, 2 S, 2 S); 0 where there is nothing.
        """
        for layer in self.convs:
            features = F.relu(layer(features))
        larger = F.relu(self.upsample(features))
        masks = torch.sigmoid(self._logits(larger, labels.flatten()))
        side = larger.shape[2]
        masks = masks.reshape(-1, labels.shape[1], side, side)
        return torch.where((labels >= 0)[..., None, None], masks, 0.0)

    def _logits(self, features: Tensor, labels: Tensor) -> Tensor:
        """Compute the one plane of each detection that is asked for: of 80, that is 1/80."""
        planes = self.conv_logits.out_channels
        chosen = labels.clamp(0, planes - 1)
        weight = self.conv_logits.weight.flatten(1)[chosen]
        assert self.conv_logits.bias is not None
        return weight[:, None] @ features.flatten(2) + self.conv_logits.bias[chosen][:, None, None]

"""SimAM ResNets for ImageNet: ResNet v1.5, ResNeXt and ResNet-D, whole or as a backbone.

SimAM stands behind every block's second convolution, before its batch norm.
Sources: He et al., CVPR 2016; Xie et al., CVPR 2017; He et al., "Bag of Tricks", CVPR 2019.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.attention.choice import Attention
from simam_deploy.models.networks.blocks import conv, resnet_stages
from simam_deploy.models.zoo import Network


class _Trunk(nn.Module):
    """Stem and four stages."""

    def __init__(self, network: Network, width: int, attention: Attention) -> None:
        super().__init__()
        self.conv1 = _deep_stem(width) if network.deep_stem else conv(3, width, 7, 2)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        made = resnet_stages(network, width, "downsample", attention)
        self.layer1, self.layer2, self.layer3, self.layer4 = made

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        stem = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        first = self.layer1(stem)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)


class Backbone(_Trunk):
    """Feature extractor.

    Input: (N, 3, H, W). Outputs: the maps behind the four stages, shallow to deep, at 1/4, 1/8,
    1/16 and 1/32 of the input's size, with 1, 2, 4 and 8 times `width` channels (four times as
    many with bottleneck blocks).

    Args:
        network: Blocks, kind of block, groups and stem.
        width: Channels of the stem and planes of the first stage.
        attention: What its blocks have.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the stage maps."""
        return self.maps(x)


class ResNet(_Trunk):
    """Classifier.

    Input: (N, 3, H, W). Output: logits (N, num_outputs).

    Args:
        network: Blocks, kind of block, groups and stem.
        width: Channels of the stem and planes of the first stage.
        num_outputs: Number of classes.
        attention: What its blocks have.
    """

    def __init__(
        self, network: Network, width: int, num_outputs: int, attention: Attention
    ) -> None:
        super().__init__(network, width, attention)
        self.fc = nn.Linear(width * 8 * network.expansion, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.fc(self.maps(x)[-1].mean(dim=(2, 3)))
        return logits


def _deep_stem(width: int) -> nn.Sequential:
    half = width // 2
    return nn.Sequential(
        conv(3, half, 3, 2),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        conv(half, half, 3),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        conv(half, width, 3),
    )

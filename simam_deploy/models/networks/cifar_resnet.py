"""SimAM ResNets for CIFAR: three stages, SimAM behind every block's second convolution.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.attention.choice import Attention
from simam_deploy.models.networks.blocks import conv, resnet_stages
from simam_deploy.models.zoo import Network


class CifarResNet(nn.Module):
    """Classifier.

    Input: (N, 3, H, W). Output: logits (N, num_outputs).

    Args:
        network: Blocks and kind of block.
        width: Channels of the stem and planes of the first stage.
        num_outputs: Number of classes.
        attention: What its blocks have.
    """

    def __init__(
        self, network: Network, width: int, num_outputs: int, attention: Attention
    ) -> None:
        super().__init__()
        self.conv1 = conv(3, width, 3)
        self.bn1 = nn.BatchNorm2d(width)
        made = resnet_stages(network, width, "shortcut", attention)
        self.layer1, self.layer2, self.layer3 = made
        self.linear = nn.Linear(width * 4 * network.expansion, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        stem = F.relu(self.bn1(self.conv1(x)))
        last = self.layer3(self.layer2(self.layer1(stem)))
        logits: Tensor = self.linear(last.mean(dim=(2, 3)))
        return logits

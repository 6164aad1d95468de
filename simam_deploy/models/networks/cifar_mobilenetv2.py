"""SimAM MobileNetV2 for CIFAR: SimAM between each depthwise convolution and its batch norm.

Source: Sandler et al., CVPR 2018, with the authors' changes for 32x32 images: stem and second
stage keep the map's size, every block expands, ReLU stands for ReLU6, and a stride-1 block whose
width changes has a projected shortcut. The authors pool a fixed 4x4 window; here the whole map is
pooled, which is the same at 32x32 and works at any other size.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.attention.choice import Attention
from simam_deploy.models.networks.blocks import attended, conv
from simam_deploy.models.networks.steps import CIFAR_STRIDES, InvertedStep, inverted_steps


class CifarMobileNetV2(nn.Module):
    """Classifier.

    Input: (N, 3, H, W). Output: logits (N, num_outputs).

    Args:
        channels: Nine widths: stem, the seven stages, head.
        num_outputs: Number of classes.
        attention: What its blocks have.
    """

    def __init__(self, channels: Sequence[int], num_outputs: int, attention: Attention) -> None:
        super().__init__()
        self.conv1 = conv(3, channels[0], 3)
        self.bn1 = nn.BatchNorm2d(channels[0])
        steps = inverted_steps(channels, CIFAR_STRIDES)
        self.layers = nn.Sequential(*(CifarInvertedResidual(step, attention) for step in steps))
        self.conv2 = conv(channels[-2], channels[-1], 1)
        self.bn2 = nn.BatchNorm2d(channels[-1])
        self.linear = nn.Linear(channels[-1], num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        last = self.layers(F.relu(self.bn1(self.conv1(x))))
        logits: Tensor = self.linear(F.relu(self.bn2(self.conv2(last))).mean(dim=(2, 3)))
        return logits


class CifarInvertedResidual(nn.Module):
    """Expansion, depthwise with SimAM, projection; with a shortcut where the stride is 1.

    Any other attention stands behind bn3.

    Args:
        step: The block's place.
        attention: What the block has.
    """

    def __init__(self, step: InvertedStep, attention: Attention) -> None:
        super().__init__()
        self.conv1 = conv(step.inputs, step.hidden, 1)
        self.bn1 = nn.BatchNorm2d(step.hidden)
        depthwise = conv(step.hidden, step.hidden, 3, step.stride, groups=step.hidden)
        self.conv2 = attended(depthwise, attention.on_map())
        self.bn2 = nn.BatchNorm2d(step.hidden)
        self.conv3 = conv(step.hidden, step.outputs, 1)
        self.bn3 = attended(nn.BatchNorm2d(step.outputs), attention.on_branch(step.outputs))
        self.has_shortcut = step.stride == 1
        self.shortcut = nn.Sequential()
        if self.has_shortcut and step.inputs != step.outputs:
            self.shortcut.append(conv(step.inputs, step.outputs, 1))
            self.shortcut.append(nn.BatchNorm2d(step.outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        narrow: Tensor = self.bn3(self.conv3(out))
        return narrow + self.shortcut(x) if self.has_shortcut else narrow

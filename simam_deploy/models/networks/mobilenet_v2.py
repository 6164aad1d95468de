"""SimAM MobileNetV2 for ImageNet: SimAM between each depthwise convolution and its batch norm.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from simam_deploy.models.attention.choice import Attention
from simam_deploy.models.networks.blocks import conv
from simam_deploy.models.networks.steps import IMAGENET_STRIDES, InvertedStep, inverted_steps


class MobileNetV2(nn.Module):
    """Classifier.

    Input: (N, 3, H, W). Output: logits (N, num_outputs).

    Args:
        channels: Nine widths: stem, the seven stages, head.
        num_outputs: Number of classes.
        attention: What its blocks have.
    """

    def __init__(self, channels: Sequence[int], num_outputs: int, attention: Attention) -> None:
        super().__init__()
        steps = inverted_steps(channels, IMAGENET_STRIDES)
        self.features = nn.Sequential(
            _normed(conv(3, channels[0], 3, 2)),
            *(InvertedResidual(step, attention) for step in steps),
            _normed(conv(channels[-2], channels[-1], 1)),
        )
        self.classifier = nn.Sequential(nn.Linear(channels[-1], num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.classifier(self.features(x).mean(dim=(2, 3)))
        return logits


class InvertedResidual(nn.Module):
    """Expansion (left out in the first block), depthwise with SimAM, projection.

    The input is added where the block keeps its shape. Any other attention stands behind the
    projection's batch norm.

    Args:
        step: The block's place.
        attention: What the block has.
    """

    def __init__(self, step: InvertedStep, attention: Attention) -> None:
        super().__init__()
        self.adds_input = step.stride == 1 and step.inputs == step.outputs
        expansion = [_normed(conv(step.inputs, step.hidden, 1))]
        depthwise = conv(step.hidden, step.hidden, 3, step.stride, groups=step.hidden)
        self.conv = nn.Sequential(
            *(expansion if step.hidden != step.inputs else []),
            _normed(depthwise, *attention.on_map()),
            conv(step.hidden, step.outputs, 1),
            nn.BatchNorm2d(step.outputs),
            *attention.on_branch(step.outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out: Tensor = self.conv(x)
        return x + out if self.adds_input else out


def _normed(convolution: nn.Conv2d, *attention: nn.Module) -> nn.Sequential:
    norm = nn.BatchNorm2d(convolution.out_channels)
    return nn.Sequential(convolution, *attention, norm, nn.ReLU6())

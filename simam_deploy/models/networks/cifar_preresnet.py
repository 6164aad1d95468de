"""SimAM ResNets for CIFAR that normalise first: SimAM behind every block's second convolution.

Source: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.attention.choice import Attention
from simam_deploy.models.networks.blocks import attended, conv, stages
from simam_deploy.models.networks.steps import ResidualStep, residual_steps
from simam_deploy.models.zoo import Network


class CifarPreResNet(nn.Module):
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
        block = PreBottleneck if network.bottleneck else PreBasicBlock
        steps = residual_steps(network.blocks, width, width, network.expansion)
        self.conv1 = conv(3, width, 3)
        made = stages(lambda step: block(step, attention), steps)
        self.layer1, self.layer2, self.layer3 = made
        features = width * 4 * network.expansion
        self.bn = nn.BatchNorm2d(features)
        self.linear = nn.Linear(features, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        last = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        logits: Tensor = self.linear(F.relu(self.bn(last)).mean(dim=(2, 3)))
        return logits


class PreBasicBlock(nn.Module):
    """SimAM(conv2(ReLU(bn2(conv1(ReLU(bn1 x)))))) + shortcut x; both convolutions are 3x3.

    Any other attention stands in the same place.

    Args:
        step: The block's place.
        attention: What the block has.
    """

    def __init__(self, step: ResidualStep, attention: Attention) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(step.inputs)
        self.conv1 = conv(step.inputs, step.planes, 3, step.stride)
        self.bn2 = nn.BatchNorm2d(step.planes)
        convolution = conv(step.planes, step.planes, 3)
        modules = attention.on_map() + attention.on_branch(step.planes)
        self.conv2 = attended(convolution, modules)
        self.shortcut = _bare_projection(step)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.conv1(F.relu(self.bn1(x)))
        out = self.conv2(F.relu(self.bn2(out)))
        summed: Tensor = out + self.shortcut(x)
        return summed


class PreBottleneck(nn.Module):
    """conv3(ReLU(bn3(SimAM(conv2(ReLU(bn2(conv1(ReLU(bn1 x)))))))) + shortcut x.

    conv1 and conv3 are 1x1; conv2 is 3x3 and holds the stride. Any other attention stands behind
    conv3.

    Args:
        step: The block's place.
        attention: What the block has.
    """

    def __init__(self, step: ResidualStep, attention: Attention) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(step.inputs)
        self.conv1 = conv(step.inputs, step.planes, 1)
        self.bn2 = nn.BatchNorm2d(step.planes)
        convolution = conv(step.planes, step.planes, 3, step.stride)
        self.conv2 = attended(convolution, attention.on_map())
        self.bn3 = nn.BatchNorm2d(step.planes)
        projected = conv(step.planes, step.outputs, 1)
        self.conv3 = attended(projected, attention.on_branch(step.outputs))
        self.shortcut = _bare_projection(step)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.conv1(F.relu(self.bn1(x)))
        out = self.conv2(F.relu(self.bn2(out)))
        out = self.conv3(F.relu(self.bn3(out)))
        summed: Tensor = out + self.shortcut(x)
        return summed


def _bare_projection(step: ResidualStep) -> nn.Sequential:
    """A shortcut without batch norm: empty where the shape stays."""
    if step.stride == 1 and step.inputs == step.outputs:
        return nn.Sequential()
    return nn.Sequential(conv(step.inputs, step.outputs, 1, step.stride))

"""SimAM WideResNets for CIFAR, ten times the width: SimAM behind every block's second convolution.

Source: Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016. The authors pool a fixed 8x8
window; here the whole map is pooled, which is the same at 32x32 and stays one vector an image at
any other size.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.attention.choice import Attention
from simam_deploy.models.networks.blocks import attended, conv, stages
from simam_deploy.models.networks.steps import ResidualStep, residual_steps
from simam_deploy.models.zoo import Network


class CifarWideResNet(nn.Module):
    """Classifier.

    Input: (N, 3, H, W). Output: logits (N, num_outputs).

    Args:
        network: Blocks in each of the three stages.
        width: Channels of the stem; the first stage has ten times as many.
        num_outputs: Number of classes.
        attention: What its blocks have.
    """

    def __init__(
        self, network: Network, width: int, num_outputs: int, attention: Attention
    ) -> None:
        super().__init__()
        self.conv1 = conv(3, width, 3)
        steps = residual_steps(network.blocks, width, 10 * width, 1)
        self.block1, self.block2, self.block3 = (
            WideStage(stage) for stage in stages(lambda step: WideBlock(step, attention), steps)
        )
        self.bn1 = nn.BatchNorm2d(40 * width)
        self.fc = nn.Linear(40 * width, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        last = self.block3(self.block2(self.block1(self.conv1(x))))
        logits: Tensor = self.fc(F.relu(self.bn1(last)).mean(dim=(2, 3)))
        return logits


class WideStage(nn.Module):
    """A stage's blocks under the name `layer`, as the authors' keys have it.

    Args:
        blocks: The blocks.
    """

    def __init__(self, blocks: nn.Sequential) -> None:
        super().__init__()
        self.layer = blocks

    def forward(self, x: Tensor) -> Tensor:
        """Run the blocks."""
        out: Tensor = self.layer(x)
        return out


class WideBlock(nn.Module):
    """SimAM(conv2(ReLU(bn2(conv1 a)))) + shortcut, with a = ReLU(bn1 x).

    The shortcut is x itself, or a 1x1 convolution of a where the width changes. Any other
    attention stands where SimAM does.

    Args:
        step: The block's place.
        attention: What the block has.
    """

    def __init__(self, step: ResidualStep, attention: Attention) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(step.inputs)
        self.conv1 = conv(step.inputs, step.outputs, 3, step.stride)
        self.bn2 = nn.BatchNorm2d(step.outputs)
        convolution = conv(step.outputs, step.outputs, 3)
        modules = attention.on_map() + attention.on_branch(step.outputs)
        self.conv2 = attended(convolution, modules)
        self.convShortcut = (
            None if step.inputs == step.outputs else conv(step.inputs, step.outputs, 1, step.stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        active = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(active))))
        shortcut = x if self.convShortcut is None else self.convShortcut(active)
        summed: Tensor = out + shortcut
        return summed

"""What the residual networks share: convolutions, shortcuts, stages and the two ResNet blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.attention.choice import Attention
from simam_deploy.models.networks.steps import ResidualStep, residual_steps
from simam_deploy.models.zoo import Network


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Make a convolution without bias that keeps the map's size at stride 1."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def attended(layer: nn.Module, modules: tuple[nn.Module, ...]) -> nn.Module:
    """Put attention behind a layer, whose tensors are then stored under `<name>.0.`, if any is."""
    return nn.Sequential(layer, *modules) if modules else layer


def projection(step: ResidualStep, *, average: bool = False) -> nn.Sequential:
    """Make a block's shortcut: empty where the shape stays, else a 1x1 convolution and batch norm.

    Args:
        step: The block's place.
        average: Halve the map by average pooling, as ResNet-D does, not by the stride.
    """
    if step.stride == 1 and step.inputs == step.outputs:
        return nn.Sequential()
    if average and step.stride > 1:
        # Windows that reach over the edge average what they hold, as the authors' do.
        pool = nn.AvgPool2d(step.stride, ceil_mode=True, count_include_pad=False)
        body = conv(step.inputs, step.outputs, 1)
        return nn.Sequential(pool, body, nn.BatchNorm2d(step.outputs))
    body = conv(step.inputs, step.outputs, 1, step.stride)
    return nn.Sequential(body, nn.BatchNorm2d(step.outputs))


def stages(
    block: Callable[[ResidualStep], nn.Module], steps: Iterable[ResidualStep]
) -> list[nn.Sequential]:
    """Stack `block(step)` for every step of the plan, one Sequential a stage."""
    made: list[nn.Sequential] = []
    for step in steps:
        if step.position == 0:
            made.append(nn.Sequential())
        made[-1].append(block(step))
    return made


class BasicBlock(nn.Module):
    """ReLU(bn2(SimAM(conv2(ReLU(bn1(conv1 x))))) + shortcut x); both convolutions are 3x3.

    Any other attention stands behind bn2.

    Args:
        step: The block's place.
        shortcut: Attribute name of the shortcut, which the families spell differently.
        attention: What the block has.
    """

    def __init__(self, step: ResidualStep, shortcut: str, attention: Attention) -> None:
        super().__init__()
        self.conv1 = conv(step.inputs, step.planes, 3, step.stride)
        self.bn1 = nn.BatchNorm2d(step.planes)
        self.conv2 = attended(conv(step.planes, step.planes, 3), attention.on_map())
        self.bn2 = attended(nn.BatchNorm2d(step.planes), attention.on_branch(step.planes))
        self.shortcut_name = shortcut
        self.add_module(shortcut, projection(step))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.get_submodule(self.shortcut_name)(x))


class Bottleneck(nn.Module):
    """ReLU(bn3(conv3(ReLU(bn2(SimAM(conv2(ReLU(bn1(conv1 x)))))))) + shortcut x).

    conv1 and conv3 are 1x1; conv2 is 3x3 and holds the stride (ResNet v1.5). Any other attention
    stands behind bn3.

    Args:
        network: Says how conv2 is grouped and how the shortcut halves.
        step: The block's place.
        shortcut: Attribute name of the shortcut, which the families spell differently.
        attention: What the block has.
    """

    def __init__(
        self, network: Network, step: ResidualStep, shortcut: str, attention: Attention
    ) -> None:
        super().__init__()
        inner = network.inner_width(step.planes)
        self.conv1 = conv(step.inputs, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        conv2 = conv(inner, inner, 3, step.stride, network.groups)
        self.conv2 = attended(conv2, attention.on_map())
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = conv(inner, step.outputs, 1)
        self.bn3 = attended(nn.BatchNorm2d(step.outputs), attention.on_branch(step.outputs))
        self.shortcut_name = shortcut
        self.add_module(shortcut, projection(step, average=network.deep_stem))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + self.get_submodule(self.shortcut_name)(x))


def resnet_stages(
    network: Network, width: int, shortcut: str, attention: Attention
) -> list[nn.Sequential]:
    """Stack the blocks of a ResNet, ImageNet's or CIFAR's, one Sequential a stage."""

    def block(step: ResidualStep) -> nn.Module:
        if network.bottleneck:
            return Bottleneck(network, step, shortcut, attention)
        return BasicBlock(step, shortcut, attention)

    return stages(block, residual_steps(network.blocks, width, width, network.expansion))

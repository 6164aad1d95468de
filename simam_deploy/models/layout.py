"""The state_dict keys and shapes of every network, without torch.

`expected_shapes` is what a checkpoint in the authors' layout holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simam_deploy.models.networks.steps import (
    CIFAR_STRIDES,
    IMAGENET_STRIDES,
    InvertedStep,
    ResidualStep,
    inverted_steps,
    residual_steps,
)
from simam_deploy.models.zoo import Body, Network

Shapes = Mapping[str, tuple[int, ...]]
Rows = dict[str, tuple[int, ...]]

COUNTER = "num_batches_tracked"
"""Batch norm's training counter: files older than PyTorch 0.4.1 lack it, inference ignores it."""

HEADS: Mapping[Body, str] = {
    "resnet": "fc",
    "mobilenet_v2": "classifier.0",
    "cifar_resnet": "linear",
    "cifar_preresnet": "linear",
    "cifar_wideresnet": "fc",
    "cifar_mobilenetv2": "linear",
    "wespeaker": "bottleneck",
}


def expected_shapes(network: Network, widths: Sequence[int], num_outputs: int | None) -> Rows:
    """List the keys and shapes of `network` in the authors' layout.

    Args:
        network: The network.
        widths: Base widths, as many as `network.widths` has.
        num_outputs: Classes or embedding size; None for a backbone, which has no head.

    Returns:
        Key -> shape, the counters of batch norm included.
    """
    match network.body:
        case "resnet":
            rows, features = _imagenet_resnet(network, widths[0])
        case "mobilenet_v2":
            rows, features = _imagenet_mobilenet(widths)
        case "cifar_resnet":
            rows, features = _cifar_resnet(network, widths[0])
        case "cifar_preresnet":
            rows, features = _cifar_preresnet(network, widths[0])
        case "cifar_wideresnet":
            rows, features = _cifar_wideresnet(network, widths[0])
        case "cifar_mobilenetv2":
            rows, features = _cifar_mobilenet(widths)
        case "wespeaker":
            rows, features = _wespeaker(network, widths[0])
    if num_outputs is not None:
        rows |= _linear(HEADS[network.body], features, num_outputs)
    return rows


def _conv(name: str, inputs: int, outputs: int, kernel: int) -> Rows:
    return {f"{name}.weight": (outputs, inputs, kernel, kernel)}


def _norm(name: str, channels: int) -> Rows:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{leaf}": (channels,) for leaf in leaves}, f"{name}.{COUNTER}": ()}


def _linear(name: str, inputs: int, outputs: int) -> Rows:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _imagenet_resnet(network: Network, width: int) -> tuple[Rows, int]:
    rows = _deep_stem(width) if network.deep_stem else _conv("conv1", 3, width, 7)
    rows |= _norm("bn1", width)
    return _after_norm(rows, network, width, "downsample")


def _deep_stem(width: int) -> Rows:
    half = width // 2
    first = _conv("conv1.0", 3, half, 3) | _norm("conv1.1", half)
    second = _conv("conv1.3", half, half, 3) | _norm("conv1.4", half)
    return first | second | _conv("conv1.6", half, width, 3)


def _cifar_resnet(network: Network, width: int) -> tuple[Rows, int]:
    rows = _conv("conv1", 3, width, 3) | _norm("bn1", width)
    return _after_norm(rows, network, width, "shortcut")


def _wespeaker(network: Network, width: int) -> tuple[Rows, int]:
    rows = _conv("front.conv1", 1, width, 3) | _norm("front.bn1", width)
    rows, channels = _after_norm(rows, network, width, "downsample", "front.", "conv2")
    merged, hidden = channels * 10, 128  # three halvings leave 10 of 80 mel bins
    rows |= _norm("pooling.attention.2", hidden)
    rows |= {
        "pooling.attention.0.weight": (hidden, merged, 1),
        "pooling.attention.0.bias": (hidden,),
        "pooling.attention.3.weight": (merged, hidden, 1),
        "pooling.attention.3.bias": (merged,),
    }
    return rows, 2 * merged


def _after_norm(
    rows: Rows,
    network: Network,
    width: int,
    shortcut: str,
    prefix: str = "",
    conv2: str = "conv2.0",
) -> tuple[Rows, int]:
    """Add the blocks that normalise after each convolution, and count the channels they end in."""
    outputs = width
    for step in residual_steps(network.blocks, width, width, network.expansion):
        name = f"{prefix}layer{step.stage}.{step.position}"
        inner = network.inner_width(step.planes)
        kernel = 1 if network.bottleneck else 3
        rows |= _conv(f"{name}.conv1", step.inputs, inner, kernel) | _norm(f"{name}.bn1", inner)
        rows |= _conv(f"{name}.{conv2}", inner // network.groups, inner, 3)
        rows |= _norm(f"{name}.bn2", inner)
        if network.bottleneck:
            rows |= _conv(f"{name}.conv3", inner, step.outputs, 1)
            rows |= _norm(f"{name}.bn3", step.outputs)
        if step.stride > 1 or step.inputs != step.outputs:
            pooled = int(network.deep_stem and step.stride > 1)
            rows |= _conv(f"{name}.{shortcut}.{pooled}", step.inputs, step.outputs, 1)
            rows |= _norm(f"{name}.{shortcut}.{pooled + 1}", step.outputs)
        outputs = step.outputs
    return rows, outputs


def _cifar_preresnet(network: Network, width: int) -> tuple[Rows, int]:
    rows, outputs = _conv("conv1", 3, width, 3), width
    for step in residual_steps(network.blocks, width, width, network.expansion):
        name = f"layer{step.stage}.{step.position}"
        rows |= _before_norm(name, step, network.bottleneck)
        if step.stride > 1 or step.inputs != step.outputs:
            rows |= _conv(f"{name}.shortcut.0", step.inputs, step.outputs, 1)
        outputs = step.outputs
    return rows | _norm("bn", outputs), outputs


def _cifar_wideresnet(network: Network, width: int) -> tuple[Rows, int]:
    rows, outputs = _conv("conv1", 3, width, 3), width
    for step in residual_steps(network.blocks, width, 10 * width, 1):
        name = f"block{step.stage}.layer.{step.position}"
        rows |= _before_norm(name, step, bottleneck=False)
        if step.inputs != step.outputs:
            rows |= _conv(f"{name}.convShortcut", step.inputs, step.outputs, 1)
        outputs = step.outputs
    return rows | _norm("bn1", outputs), outputs


def _before_norm(name: str, step: ResidualStep, bottleneck: bool) -> Rows:
    kernel = 1 if bottleneck else 3
    rows = _norm(f"{name}.bn1", step.inputs) | _norm(f"{name}.bn2", step.planes)
    rows |= _conv(f"{name}.conv1", step.inputs, step.planes, kernel)
    rows |= _conv(f"{name}.conv2.0", step.planes, step.planes, 3)
    if bottleneck:
        rows |= _norm(f"{name}.bn3", step.planes)
        rows |= _conv(f"{name}.conv3", step.planes, step.outputs, 1)
    return rows


def _imagenet_mobilenet(channels: Sequence[int]) -> tuple[Rows, int]:
    rows = _conv("features.0.0", 3, channels[0], 3) | _norm("features.0.1", channels[0])
    for index, step in enumerate(inverted_steps(channels, IMAGENET_STRIDES), start=1):
        rows |= _imagenet_inverted(f"features.{index}.conv", step)
    rows |= _conv("features.18.0", channels[-2], channels[-1], 1)
    return rows | _norm("features.18.1", channels[-1]), channels[-1]


def _imagenet_inverted(name: str, step: InvertedStep) -> Rows:
    """Sequential: expansion (absent where it would expand nothing), depthwise, projection."""
    expands = int(step.hidden != step.inputs)
    rows: Rows = {}
    if expands:
        rows |= _conv(f"{name}.0.0", step.inputs, step.hidden, 1) | _norm(
            f"{name}.0.1", step.hidden
        )
    rows |= _conv(f"{name}.{expands}.0", 1, step.hidden, 3)
    rows |= _norm(f"{name}.{expands}.2", step.hidden)
    rows |= _conv(f"{name}.{expands + 1}", step.hidden, step.outputs, 1)
    return rows | _norm(f"{name}.{expands + 2}", step.outputs)


def _cifar_mobilenet(channels: Sequence[int]) -> tuple[Rows, int]:
    rows = _conv("conv1", 3, channels[0], 3) | _norm("bn1", channels[0])
    for index, step in enumerate(inverted_steps(channels, CIFAR_STRIDES)):
        name = f"layers.{index}"
        rows |= _conv(f"{name}.conv1", step.inputs, step.hidden, 1) | _norm(
            f"{name}.bn1", step.hidden
        )
        rows |= _conv(f"{name}.conv2.0", 1, step.hidden, 3) | _norm(f"{name}.bn2", step.hidden)
        rows |= _conv(f"{name}.conv3", step.hidden, step.outputs, 1)
        rows |= _norm(f"{name}.bn3", step.outputs)
        if step.stride == 1 and step.inputs != step.outputs:
            rows |= _conv(f"{name}.shortcut.0", step.inputs, step.outputs, 1)
            rows |= _norm(f"{name}.shortcut.1", step.outputs)
    rows |= _conv("conv2", channels[-2], channels[-1], 1)
    return rows | _norm("bn2", channels[-1]), channels[-1]

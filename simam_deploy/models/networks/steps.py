"""Where the blocks of a network stand and how wide they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

INVERTED_REPEATS = (1, 2, 3, 4, 3, 3, 1)
"""Blocks in each of MobileNetV2's seven stages (Sandler et al., CVPR 2018, table 2)."""
IMAGENET_STRIDES = (1, 2, 2, 2, 1, 2, 1)
CIFAR_STRIDES = (1, 1, 2, 2, 1, 2, 1)
"""The authors' CIFAR MobileNetV2 keeps the second stage at full size."""


class ResidualStep(NamedTuple):
    """One block of a residual network; `stage` counts from 1, `position` in it from 0."""

    stage: int
    position: int
    inputs: int
    planes: int
    outputs: int
    stride: int


class InvertedStep(NamedTuple):
    """One inverted residual block: `inputs` expanded to `hidden`, projected to `outputs`."""

    inputs: int
    hidden: int
    outputs: int
    stride: int


def residual_steps(
    blocks: Sequence[int], inputs: int, planes: int, expansion: int
) -> Iterator[ResidualStep]:
    """Walk the blocks of a residual network in forward order.

    Args:
        blocks: Number of blocks in each stage.
        inputs: Channels the stem hands to the first block.
        planes: Planes of the first stage; they double, and the map halves, at each later stage.
        expansion: A block's output channels over its planes.
    """
    for stage, count in enumerate(blocks, start=1):
        for position in range(count):
            stride = 2 if stage > 1 and position == 0 else 1
            yield ResidualStep(stage, position, inputs, planes, planes * expansion, stride)
            inputs = planes * expansion
        planes *= 2


def inverted_steps(channels: Sequence[int], strides: Sequence[int]) -> Iterator[InvertedStep]:
    """Walk MobileNetV2's 17 blocks in forward order.

    Args:
        channels: Nine numbers: stem, the outputs of the seven stages, head.
        strides: The first block's stride in each of the seven stages.
    """
    inputs = channels[0]
    for stage, (outputs, count) in enumerate(zip(channels[1:-1], INVERTED_REPEATS, strict=True)):
        for index in range(count):
            hidden = inputs if stage == 0 else 6 * inputs
            yield InvertedStep(inputs, hidden, outputs, strides[stage] if index == 0 else 1)
            inputs = outputs

"""The sizes a checkpoint shows: base widths and the number of outputs, read off a few tensors."""

from __future__ import annotations

from collections.abc import Mapping

from simam_deploy.core.specs import Shapes
from simam_deploy.models.spelling import SPELLINGS
from simam_deploy.models.zoo import Body, Network

HEADS: Mapping[Body, str] = {
    "resnet": "fc",
    "mobilenet_v2": "classifier.0",
    "cifar_resnet": "linear",
    "cifar_preresnet": "linear",
    "cifar_wideresnet": "fc",
    "cifar_mobilenetv2": "linear",
    "wespeaker": "bottleneck",
}
"""The layer whose outputs are the network's, by body."""
LARGEST_SIZE = 1 << 20
"""Widths and class counts above this are taken for damage: with the square of it times the
widest multiple, 32 * 32 * 9, a tensor's size still fits 64 bits."""

# The tensors whose first dimension is a base width, in the order of `Network.widths`.
_WIDTH_KEYS: Mapping[Body, tuple[str, ...]] = {
    "resnet": ("bn1.weight",),
    "mobilenet_v2": (
        "features.0.0.weight",
        "features.1.conv.1.weight",
        *(f"features.{index}.conv.2.weight" for index in (2, 4, 7, 11, 14, 17)),
        "features.18.0.weight",
    ),
    "cifar_resnet": ("bn1.weight",),
    "cifar_preresnet": ("conv1.weight",),
    "cifar_wideresnet": ("conv1.weight",),
    "cifar_mobilenetv2": (
        "conv1.weight",
        *(f"layers.{index}.conv3.weight" for index in (0, 1, 3, 6, 10, 13, 16)),
        "conv2.weight",
    ),
    "wespeaker": ("front.bn1.weight",),
}


def shown_widths(network: Network, shapes: Shapes) -> tuple[int, ...]:
    """Read the base widths that `shapes` show; the published ones where they do not."""
    read = tuple(_first_size(shapes, key) for key in _WIDTH_KEYS[network.body])
    return tuple(size or known for size, known in zip(read, network.widths, strict=True))


def shown_outputs(network: Network, shapes: Shapes) -> int | None:
    """Read the number of classes, or embedding size, that `shapes` show; None for a backbone."""
    if network.num_outputs is None:
        return None
    key = f"{HEADS[network.body]}.weight"
    spelt = (_first_size(shapes, spelling.respell(key)) for spelling in SPELLINGS)
    return next((size for size in spelt if size), network.num_outputs)


def _first_size(shapes: Shapes, key: str) -> int | None:
    shape = shapes.get(key, ())
    return shape[0] if shape and 1 <= shape[0] <= LARGEST_SIZE else None

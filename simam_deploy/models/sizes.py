"""The sizes a checkpoint shows: base widths and the number of outputs, read off a few tensors."""

from __future__ import annotations

from collections.abc import Mapping

from simam_deploy.core.specs import Shapes
from simam_deploy.models.attention.kinds import KINDS
from simam_deploy.models.spelling import Spelling, spellings
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
    read = tuple(_size(shapes, key, 0) for key in _WIDTH_KEYS[network.body])
    return tuple(size or known for size, known in zip(read, network.widths, strict=True))


def shown_outputs(network: Network, shapes: Shapes) -> int | None:
    """Read the number of classes, or embedding size, that `shapes` show; None for a backbone."""
    if network.num_outputs is None:
        return None
    key = f"{HEADS[network.body]}.weight"
    known = spellings(network.attention)
    spelt = (_size(shapes, spelling.respell(key), 0) for spelling in known)
    return next((size for size in spelt if size), network.num_outputs)


def shown_inner(
    network: Network, rows: Shapes, spelling: Spelling, shapes: Shapes
) -> tuple[int, ...]:
    """Read the inner size of each attention module that `shapes` show, in forward order.

    There are none where all are as published, or the attention has no inner size.

    Args:
        network: The network.
        rows: Its keys in the authors' layout and shapes, of the published inner sizes, which
            stand where `shapes` do not show them.
        spelling: How `shapes` name the tensors.
        shapes: The checkpoint's.
    """
    place = KINDS[network.attention].inner
    if place is None:
        return ()
    suffix, axis = place
    known = {key: row[axis] for key, row in rows.items() if key.endswith(f".{suffix}")}
    read = {key: _size(shapes, spelling.respell(key), axis) for key in known}
    # A kernel of even size has no middle: it is left to be told as misshapen.
    fits = {key: size for key, size in read.items() if size and (axis == 0 or size % 2)}
    shown = {**known, **fits}
    return () if shown == known else tuple(shown.values())


def _size(shapes: Shapes, key: str, axis: int) -> int | None:
    shape = shapes.get(key, ())
    return shape[axis] if len(shape) > axis and 1 <= shape[axis] <= LARGEST_SIZE else None

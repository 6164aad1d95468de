"""Which network a checkpoint is, from its keys and shapes alone. Nothing here imports torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from simam_deploy.core.specs import Shapes
from simam_deploy.errors import NetworkError, UsageError
from simam_deploy.models.fit import Fit, closest_fit, describe_differences, shares_keys, show
from simam_deploy.models.zoo import BACKBONE, NETWORKS, Network, find_network

BACKBONE_PREFIX = "backbone."
DETECTOR_PARTS = ("neck.", "rpn_head.", "roi_head.", "bbox_head.", "mask_head.")
"""What mmdetection keeps beside the backbone."""
SPEAKER_TRUNK = "front."
SPEAKER_HEAD = "projection."
"""WeSpeaker's files also hold the classifier of the training speakers; no embedding needs it."""

# By name: the authors' SE is `<index>.fc.{0,2}` behind a batch norm, their CBAM has two gates.
_OTHER_ATTENTION = {
    "SE": re.compile(r"\.\d+\.fc\.[02]\.(weight|bias)$|(^|\.)se(_?module|_?layer)?\.", re.I),
    "CBAM": re.compile(r"(^|\.)(ChannelGate|SpatialGate|cbam)\.", re.I),
}


@dataclass(frozen=True)
class Identity:
    """A checkpoint's network and size, and how its keys map to the network's.

    Attributes:
        network: The network.
        num_outputs: Classes or embedding size; None for a backbone.
        widths: Base widths, as many as `network.widths` has.
        renames: Checkpoint key -> key of the network, for every key taken.
        dropped: Checkpoint keys left out on purpose: the rest of a detector, the classifier of the
            training speakers.
    """

    network: Network
    num_outputs: int | None
    widths: tuple[int, ...]
    renames: Mapping[str, str]
    dropped: tuple[str, ...] = ()


def identify(shapes: Shapes, arch: str | None = None) -> Identity:
    """Tell which network of the zoo a checkpoint holds.

    Args:
        shapes: state_dict key -> shape, wrappers and `module.` prefixes removed.
        arch: A name in `NETWORKS`. Needed where the keys show no SimAM, to say that it stands in
            the official place; elsewhere it must agree with the keys.

    Returns:
        The network, its size and the way its keys are spelt.

    Raises:
        NetworkError: The keys and shapes fit no network exactly, belong to another attention
            module, or show no SimAM while `arch` is not given.
        UsageError: `arch` is unknown, or the keys are another network's.
    """
    asked = None if arch is None else find_network(arch)
    renames, dropped = _take_network(shapes)
    bare = {name: tuple(shapes[key]) for key, name in renames.items()}
    _refuse_unusable(bare)
    prefixed = any(key != name for key, name in renames.items())
    known = [net for net in NETWORKS.values() if net.family is BACKBONE or not prefixed]
    if not shares_keys(bare, known):
        raise NetworkError(
            f"the weights are of no known network: none has a {show(next(iter(bare)))}"
        )
    fit = closest_fit(bare, known)
    if fit.distance:
        raise _no_fit(bare, fit, asked)
    _check_asked(fit, asked)
    official = {key: fit.names[name] for key, name in renames.items()}
    return Identity(fit.network, fit.num_outputs, fit.widths, official, dropped)


def _take_network(shapes: Shapes) -> tuple[dict[str, str], tuple[str, ...]]:
    """Split the keys: the network's (key -> key without prefix), and those left out on purpose."""
    prefix: str = ""
    parts: tuple[str, ...] = ()
    if any(key.startswith(BACKBONE_PREFIX) for key in shapes):
        # A detector may hold the classifier its backbone was born with, which it never runs.
        prefix, parts = BACKBONE_PREFIX, (*DETECTOR_PARTS, f"{BACKBONE_PREFIX}fc.")
    elif any(key.startswith(SPEAKER_TRUNK) for key in shapes):
        parts = (SPEAKER_HEAD,)
    dropped = tuple(key for key in shapes if key.startswith(parts))
    kept = [key for key in shapes if not key.startswith(parts)]
    strangers = [key for key in kept if not key.startswith(prefix)]
    if strangers:
        raise NetworkError(
            f"{show(strangers[0])} stands beside {prefix}* and is no known part of a detector "
            f"({', '.join(DETECTOR_PARTS)}), nor are {len(strangers) - 1} other keys"
        )
    return {key: key.removeprefix(prefix) for key in kept}, dropped


def _refuse_unusable(shapes: Shapes) -> None:
    if not shapes:
        raise NetworkError("the file holds no weights of a network")
    for kind, pattern in _OTHER_ATTENTION.items():
        found = next((key for key in shapes if pattern.search(key)), None)
        if found is not None:
            raise NetworkError(
                f"{show(found)} is a parameter of {kind} attention: this is a {kind} network, "
                "not a SimAM one, which has no parameters of its own"
            )
    empty = next((key for key, shape in shapes.items() if 0 in shape), None)
    if empty is not None:
        raise NetworkError(f"{show(empty)} is empty: its shape is {shapes[empty]}")


def _check_asked(fit: Fit, asked: Network | None) -> None:
    name = fit.network.name
    if asked is not None and asked is not fit.network:
        raise UsageError(
            f"{asked.name} does not fit: the keys and shapes are {name}'s", options=("arch",)
        )
    if asked is None and not fit.spelling.shows_simam:
        raise NetworkError(
            f"the keys are a plain {name}'s and show no SimAM: it may be a plain network, or one "
            "whose SimAM sits elsewhere and leaves no keys; if SimAM stands in the official place, "
            f"say that it is {name}",
            options=("arch",),
        )


def _no_fit(shapes: Shapes, nearest: Fit, asked: Network | None) -> NetworkError:
    plain = "" if nearest.spelling.shows_simam else "plain "
    known = f"the weights fit no known network; the nearest is {plain}{nearest.network.name}"
    if asked is None or asked is nearest.network:
        return NetworkError(f"{known}, where {describe_differences(nearest.rows, shapes)}")
    wanted = describe_differences(closest_fit(shapes, [asked]).rows, shapes)
    return NetworkError(f"{known}, not {asked.name}, where {wanted}", options=("arch",))

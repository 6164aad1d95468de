"""Which network a checkpoint is, from its keys and shapes alone. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from simam_deploy.core.specs import Shapes
from simam_deploy.errors import NetworkError, UsageError
from simam_deploy.models.attention.kinds import KINDS, AttentionName, shown_attentions
from simam_deploy.models.fit import Fit, closest_fit, describe_differences, shares_keys, show
from simam_deploy.models.zoo import BACKBONE, NETWORKS, Network, find_network

BACKBONE_PREFIX = "backbone."
DETECTOR_PARTS = ("neck.", "rpn_head.", "roi_head.", "bbox_head.", "mask_head.")
"""What mmdetection keeps beside the backbone."""
SPEAKER_TRUNK = "front."
SPEAKER_HEAD = "projection."
"""WeSpeaker's files also hold the classifier of the training speakers; no embedding needs it."""


@dataclass(frozen=True)
class Identity:
    """A checkpoint's network and size, and how its keys map to the network's.

    Attributes:
        network: The network, with the attention that it has.
        num_outputs: Classes or embedding size; None for a backbone.
        widths: Base widths, as many as `network.widths` has.
        renames: Checkpoint key -> key of the network, for every key taken.
        dropped: Checkpoint keys left out on purpose: the rest of a detector, the classifier of the
            training speakers.
        inner: Inner sizes of its attention modules, in forward order; none where they are as
            published.
    """

    network: Network
    num_outputs: int | None
    widths: tuple[int, ...]
    renames: Mapping[str, str]
    dropped: tuple[str, ...] = ()
    inner: tuple[int, ...] = ()


def identify(
    shapes: Shapes, arch: str | None = None, attention: AttentionName | None = None
) -> Identity:
    """Tell which network of the zoo a checkpoint holds.

    Args:
        shapes: state_dict key -> shape, wrappers and `module.` prefixes removed.
        arch: A name in `NETWORKS`. Where the keys show no attention it says that SimAM stands in
            the official place, unless `attention` says other; elsewhere it must agree with them.
        attention: What the blocks have. Where the keys show none, "simam" says that it stands in
            the official place, and "none" that there is none; elsewhere it must agree with them.

    Returns:
        The network, its size and the way its keys are spelt.

    Raises:
        NetworkError: The keys and shapes fit no network exactly, or show no attention while
            neither `arch` nor `attention` is given.
        UsageError: `arch` is unknown, or the keys are another network's, or another attention's.
    """
    asked = None if arch is None else find_network(arch)
    renames, dropped = _take_network(shapes)
    bare = {name: tuple(shapes[key]) for key, name in renames.items()}
    _refuse_unusable(bare)
    shown = shown_attentions(bare)
    _check_attention(shown, attention)
    prefixed = any(key != name for key, name in renames.items())
    networks = [net for net in NETWORKS.values() if net.family is BACKBONE or not prefixed]
    fit = _closest(bare, networks, [attention] if attention else [*shown] or ["simam"])
    if fit.distance:
        if attention == "none":
            _refuse_shown_simam(bare, networks)
        raise _no_fit(bare, fit, asked, shown)
    _check_asked(fit, asked, attention)
    official = {key: fit.names[name] for key, name in renames.items()}
    return Identity(fit.network, fit.num_outputs, fit.widths, official, dropped, fit.inner)


def _closest(
    shapes: Shapes, networks: Sequence[Network], attentions: Sequence[AttentionName]
) -> Fit:
    """Find the nearest of some networks with some attention.

    Raises:
        NetworkError: None has any key of them.
    """
    known = [
        replace(network, attention=name)
        for name in attentions
        for network in networks
        if name in network.attentions
    ]
    if not shares_keys(shapes, known):
        raise NetworkError(
            f"the weights are of no known network: none has a {show(next(iter(shapes)))}"
        )
    return closest_fit(shapes, known)


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
    empty = next((key for key, shape in shapes.items() if 0 in shape), None)
    if empty is not None:
        raise NetworkError(f"{show(empty)} is empty: its shape is {shapes[empty]}")


def _check_attention(shown: Mapping[AttentionName, str], attention: AttentionName | None) -> None:
    """Hold what is said of the attention against what the keys show.

    Raises:
        UsageError: They differ.
    """
    if attention is None or attention in shown:
        return
    said = KINDS[attention].title
    if shown:
        (name, key), *_ = shown.items()
        raise UsageError(
            f"{show(key)} is a parameter of {KINDS[name].title} attention, and the network was "
            f"said to have {said}",
            options=("attention",),
        )
    if KINDS[attention].sign is not None:
        raise UsageError(
            f"the network was said to have {said}, and no key is a parameter of it",
            options=("attention",),
        )


def _refuse_shown_simam(shapes: Shapes, networks: Sequence[Network]) -> None:
    """Refuse to take a network for a plain one that keeps a place for SimAM.

    Raises:
        UsageError: It does.
    """
    fit = closest_fit(shapes, networks)
    if not fit.distance and fit.spelling.shows_simam:
        raise UsageError(
            f"the keys show SimAM in its place in a {fit.network.name}, and the network was said "
            "to have no attention",
            options=("attention",),
        )


def _check_asked(fit: Fit, asked: Network | None, attention: AttentionName | None) -> None:
    name = fit.network.name
    if asked is not None and asked.name != name:
        raise UsageError(
            f"{asked.name} does not fit: the keys and shapes are {fit.network.title}'s",
            options=("arch",),
        )
    if asked is None and attention is None and not fit.spelling.shows_simam:
        raise NetworkError(
            f"the keys are a plain {name}'s and show no SimAM: it may be a plain network, or one "
            "whose SimAM sits elsewhere and leaves no keys; if SimAM stands in the official place, "
            f"say that it is {name}, and if there is none, that it has no attention",
            options=("arch", "attention"),
        )


def _no_fit(
    shapes: Shapes, nearest: Fit, asked: Network | None, shown: Mapping[AttentionName, str]
) -> NetworkError:
    plain = "" if nearest.spelling.shows_simam else "plain "
    known = f"the weights fit no known network; the nearest is {plain}{nearest.network.title}"
    if shown:
        (name, key), *_ = shown.items()
        known = f"{show(key)} is a parameter of {KINDS[name].title} attention, and {known}"
    if asked is None or asked.name == nearest.network.name:
        return NetworkError(f"{known}, where {describe_differences(nearest.rows, shapes)}")
    wanted = replace(asked, attention=nearest.network.attention)
    rows = closest_fit(shapes, [wanted]).rows
    differences = describe_differences(rows, shapes)
    return NetworkError(f"{known}, not {wanted.title}, where {differences}", options=("arch",))

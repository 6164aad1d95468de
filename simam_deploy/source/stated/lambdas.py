"""What a file, its folder's name or its own name says about SimAM's lambda.

The authors' training scripts leave lambda in the folder's name alone: "imagenet-resnet18-simam-
param0.1", "cifar100-resnet20-basic-simam-param0.0001-nfilters16-...". Other scripts save their
arguments, or the network whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from simam_deploy.source.stated.fields import Held, everything_in, printable
from simam_deploy.source.stated.places import Places, where
from simam_deploy.source.stated.record import Said
from simam_deploy.source.stated.values import number

ARGUMENT_KEYS = ("e_lambda", "simam_lambda", "simam_e_lambda", "attention_param")
TOP_KEYS = (*ARGUMENT_KEYS, "lambda")
"""Among a script's arguments a bare "lambda" is as often the weight of some loss."""
OWN_KEYS = (*TOP_KEYS, "lambda_", "lambda_p", "lam")
"""What people call it in a class, or in the configuration of a layer, that bears SimAM's name."""

_IN_NAME = re.compile(r"simam-param(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?!\.?\d)", re.IGNORECASE)


def find_lambdas(places: Places) -> Iterator[Said]:
    """Find what the file itself says, most explicit first."""
    yield from _named(places.top, TOP_KEYS)
    for entry in places.arguments:
        for part in everything_in(entry.values, entry.path):
            yield from _named(part, OWN_KEYS if _is_of_simam(part) else ARGUMENT_KEYS)
    yield from _named(places.metadata, TOP_KEYS)
    for network in places.networks:
        for part in everything_in(network.values, network.path):
            yield from _named(part, OWN_KEYS if "simam" in part.maker.lower() else ("e_lambda",))


def find_in_names(path: Path) -> Iterator[Said]:
    """Find what the folder's and the file's name say."""
    path = path.absolute()
    for what, name in (("folder", path.parent.name), ("file", path.name)):
        if match := _IN_NAME.search(name):
            yield Said(_checked(match[1]), f"{what} name ({printable(name)})")


def _named(part: Held, keys: tuple[str, ...]) -> Iterator[Said]:
    for key in (*keys, *map(str.upper, keys)):  # FAIR's configurations are in capitals
        value = part.get(key)
        # The authors' scripts share attention_param with SE and CBAM, where it is a reduction.
        foreign = key.lower() == "attention_param" and not _is_simam(part)
        if value is not None and not foreign:
            yield Said(_checked(value), where(f"{part.path}{key}"))


def _is_simam(part: Held) -> bool:
    kind = part.values.get("attention_type", part.values.get("ATTENTION_TYPE", "simam"))
    return isinstance(kind, str) and "simam" in kind.lower()


def _is_of_simam(part: Held) -> bool:
    """Tell the configuration of a SimAM layer, as simam=dict(lam=0.1), dict(type="SimAM", ...)."""
    kinds = [part.get(key) for key in ("type", "_target_")]
    kinds += [part.path.rstrip(".").rpartition(".")[2]]
    return any(isinstance(kind, str) and "simam" in kind.lower() for kind in kinds)


def _checked(value: object) -> float | str:
    """Give lambda, or in words what stands where it should."""
    found = number(value)
    if found is not None and found >= 0:
        return found
    return f"{value!r:.40}" if isinstance(value, (str, int, float)) else type(value).__name__

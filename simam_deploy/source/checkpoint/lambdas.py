"""What a file, its folder's name or its own name says about SimAM's lambda.

The authors' training scripts leave lambda in the folder's name alone: "imagenet-resnet18-simam-
param0.1", "cifar100-resnet20-basic-simam-param0.0001-nfilters16-...". Other scripts save their
arguments. A wrong lambda shows in no shape and no key, so two places that disagree are an error.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from simam_deploy.errors import CheckpointError

ARGUMENT_ENTRIES = ("args", "config", "cfg", "hyper_parameters", "hparams", "opt")
ARGUMENT_KEYS = ("e_lambda", "simam_lambda", "attention_param")
TOP_KEYS = (*ARGUMENT_KEYS, "lambda")
"""Among a script's arguments a bare "lambda" is as often the weight of some loss."""

_IN_NAME = re.compile(r"simam-param(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?!\.?\d)", re.IGNORECASE)


class Lambda(NamedTuple):
    """A value of lambda and where it was found."""

    value: float
    source: str


def find_lambda(tree: object, metadata: Mapping[str, str], path: Path) -> Lambda | None:
    """Return what is known of lambda, None where nothing is.

    Args:
        tree: What the file holds.
        metadata: The metadata of a safetensors file.
        path: The file, for its name and its folder's.

    Raises:
        CheckpointError: A value is no finite number >= 0, or two places disagree.
    """
    found = [
        *_in_mapping(tree, "", TOP_KEYS),
        *_in_arguments(tree),
        *_in_mapping(metadata, "metadata ", TOP_KEYS),
        *_in_names(path),
    ]
    for other in found[1:]:
        if not math.isclose(found[0].value, other.value, rel_tol=1e-6):
            raise CheckpointError(
                f"has two values of lambda: {found[0].value:g}, {found[0].source}, and "
                f"{other.value:g}, {other.source}: say which",
                options=("e_lambda",),
            )
    return found[0] if found else None


def _in_arguments(tree: object) -> Iterator[Lambda]:
    if isinstance(tree, Mapping):
        for entry in ARGUMENT_ENTRIES:
            yield from _in_mapping(tree.get(entry), f"{entry}.", ARGUMENT_KEYS)


def _in_mapping(values: object, path: str, keys: tuple[str, ...]) -> Iterator[Lambda]:
    if isinstance(values, argparse.Namespace):
        values = vars(values)
    if not isinstance(values, Mapping):
        return
    for key in keys:
        value = values.get(key)
        # The authors' scripts share attention_param with SE and CBAM, where it is a reduction.
        foreign = key == "attention_param" and not _is_simam(values)
        if value is not None and not foreign:
            source = f"file ({path}{key})"
            yield Lambda(_number(value, source), source)


def _is_simam(values: Mapping[object, object]) -> bool:
    kind = values.get("attention_type", "simam")
    return isinstance(kind, str) and "simam" in kind.lower()


def _in_names(path: Path) -> Iterator[Lambda]:
    path = path.absolute()
    for what, name in (("folder", path.parent.name), ("file", path.name)):
        if match := _IN_NAME.search(name):
            source = f"{what} name ({name})"
            yield Lambda(_number(match[1], source), source)


def _number(value: object, source: str) -> float:
    shown = f"{value!r:.40}" if isinstance(value, (str, int, float)) else type(value).__name__
    try:
        if isinstance(value, (str, int, float, torch.Tensor)) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number) and number >= 0:
                return number
    except (ValueError, OverflowError, RuntimeError):  # RuntimeError: a tensor of many values
        pass
    raise CheckpointError(
        f"has {shown} for lambda, {source}, where a finite number >= 0 is wanted: "
        "say the right one",
        options=("e_lambda",),
    )

"""The names of a network's classes: text, a name a line, in the order of the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simam_deploy.errors import InputError

_LARGEST = 1 << 22
"""Bytes: ImageNet-21k's names are 0.5 MB."""


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a file of names.

    Raises:
        InputError: It cannot be read, is larger than 4 MiB, or a line of it is no name.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is no list of class names: it is over {_LARGEST >> 20} MiB")
        names = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"cannot read the class names in {path}: {reason}") from error
    for number, name in enumerate(names, start=1):
        if not _is_name(name):
            raise InputError(f"{path}, line {number}: no class name: {name!r:.60}")
    return tuple(names)


def stated_labels(classes: Any) -> tuple[str, ...]:
    """Take what a manifest says of its classes; nothing where that is no list of names."""
    usable = isinstance(classes, list) and all(map(_is_name, classes))
    return tuple(classes) if usable else ()


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name.strip()) and name.isprintable()

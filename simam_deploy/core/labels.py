"""The names of a network's classes: text, a name a line, in the order of the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simam_deploy.core.files import read_small
from simam_deploy.errors import InputError

_LARGEST = 1 << 22
"""Bytes: ImageNet-21k's names are 0.5 MB."""


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a file of names.

    Raises:
        InputError: It cannot be read, is larger than 4 MiB, or a line of it is no name.
    """
    content = read_small(path, _LARGEST)
    if content is None:
        raise InputError(f"cannot read the class names in {path}: No such file or directory")
    try:
        names = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"cannot read {path}: it is not UTF-8 text") from None
    for number, name in enumerate(names, start=1):
        if not is_name(name):
            raise InputError(f"{path}, line {number}: no class name: {name!r:.60}")
    return tuple(names)


def is_name(name: Any) -> bool:
    """Tell what can stand for a class on a line of its own."""
    return isinstance(name, str) and bool(name.strip()) and name.isprintable()

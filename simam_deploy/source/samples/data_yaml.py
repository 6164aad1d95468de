"""The data.yaml beside YOLO's pictures: the classes' names, and where pictures lie.

https://docs.ultralytics.com/datasets/detect: `names` is a list, or a mapping from the numbers of
the classes; `val`, `test` and `train` are folders, from `path` or from the file's own folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simam_deploy.core.document import parse_yaml
from simam_deploy.core.files import read_small
from simam_deploy.core.labels import is_name
from simam_deploy.errors import InputError

NAME = "data.yaml"
SUFFIXES = (".yaml", ".yml")
LARGEST = 1 << 18
"""Bytes, some 3 s of PyYAML's; LVIS with its 1203 classes has 40 kB."""
_SPLITS = ("val", "test", "train")
"""What is measured on, the first that is there."""
_NOTHING = ("", "~", "null")


def read_data(path: Path) -> Mapping[str, Any]:
    """Read the file: texts, lists and mappings.

    Raises:
        InputError: It cannot be read, is larger than 256 KiB, or no YAML mapping.
    """
    content = read_small(path, LARGEST)
    if content is None:
        raise InputError(f"cannot read {path}: No such file or directory")
    try:
        document = parse_yaml(content.decode("utf-8-sig"), LARGEST)
    except UnicodeDecodeError:
        raise InputError(f"cannot read {path.name}: it is not UTF-8 text") from None
    except ValueError as error:
        raise InputError(f"cannot use {path.name}: {error!s:.200}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path.name} holds no mapping: wanted names, and train or val")
    return document


def class_names(path: Path, document: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Give the names by number; None where there are none.

    Raises:
        InputError: They are no names, or not numbered from 0, or not as many as `nc` says.
    """
    names = document.get("names")
    if names is None:
        return None
    if isinstance(names, dict):
        numbered: list[Any] = [names.get(str(number)) for number in range(len(names))]
    else:
        numbered = names if isinstance(names, list) else [None]
    if not numbered or not all(map(is_name, numbered)):
        raise InputError(f"{path.name}: names must be a list, or numbered from 0")
    if document.get("nc", str(len(numbered))) != str(len(numbered)):
        raise InputError(f"{path.name}: {len(numbered)} names, and nc says {document['nc']!r:.20}")
    return tuple(numbered)


def picture_folder(path: Path, document: Mapping[str, Any]) -> Path:
    """Find the folder of pictures to measure on: that of `val`, else of `test` or `train`.

    Raises:
        InputError: None is named, or it does not lie below the file's folder.
    """
    split = next((name for name in _SPLITS if document.get(name, "") not in _NOTHING), None)
    if split is None:
        raise InputError(f"{path.name} names no folder of pictures: wanted {', '.join(_SPLITS)}")
    root = _below(path.parent, document.get("path")) or path.parent
    named = document[split]
    # Roboflow writes ../valid/images for valid/images, and ultralytics takes it so.
    inner = named.removeprefix("../") if isinstance(named, str) else named
    found = _below(root, named, path.parent) or _below(root, inner, path.parent)
    if found is None:
        raise InputError(
            f"{path.name}: {split} is {named!r:.80}, no folder in {path.parent}: name the folder "
            "that holds images/ and labels/"
        )
    return found


def _below(folder: Path, name: Any, root: Path | None = None) -> Path | None:
    """Find a folder by its name in another; None where it is not there, or leads out of `root`."""
    if not isinstance(name, str) or "\0" in name:
        return None
    found, root = folder / name, root or folder
    try:
        inside = found.resolve().is_relative_to(root.resolve())
        return found if inside and found.is_dir() else None
    except (OSError, RuntimeError):  # a name too long, a circle of links
        return None

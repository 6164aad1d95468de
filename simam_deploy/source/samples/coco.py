"""COCO's instances: one JSON document with images, categories and annotations.

https://cocodataset.org/#format-data: a bbox is x, y, width, height in pixels from the top left.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simam_deploy.core.document import parse_json
from simam_deploy.core.files import read_small
from simam_deploy.errors import InputError
from simam_deploy.source.samples.annotated import Annotated, inside
from simam_deploy.source.samples.segments import Segment, read_segment

LARGEST = 1 << 27
"""Bytes: COCO's own 5000 pictures to validate on take 20 MB, and Python some ten times that."""
_LARGEST_PIXEL = 1e6
_LARGEST_SIDE = 1 << 20
_NAMED = ("_annotations.coco.json", "annotations.json")


class _Thing(NamedTuple):
    """What an annotation says."""

    box: list[float]
    category: int
    crowd: bool
    segment: Segment | None


def find_coco(path: Path) -> Path | None:
    """Find the annotations that a path stands for; None where there are none.

    Raises:
        InputError: There are several.
    """
    if path.suffix.lower() == ".json" and not path.is_dir():
        return path
    named = next((path / name for name in _NAMED if (path / name).is_file()), None)
    if named is not None or not (path / "annotations").is_dir():
        return named
    there = sorted((path / "annotations").glob("*.json"))
    found = [file for file in there if file.name.startswith("instances")] or there
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:4])
        raise InputError(f"{path} holds {len(found)} annotations ({names}): name one of them")
    return found[0] if found else None


def read_coco(path: Path) -> tuple[list[Annotated], tuple[str, ...]]:
    """Read annotations.

    Labels are the places of the categories in the order of their ids. A category that is only the
    parent of all others, as Roboflow writes one, is none.

    Args:
        path: The document.

    Returns:
        The pictures in the document's order, and the classes' names in the labels' order.

    Raises:
        InputError: It is damaged or too large, an entry is not what it should be (it is named), or
            a picture is not there.
    """
    document = _document(path)
    images = _images(path, document)
    categories = _categories(path, document)
    found: dict[int, list[_Thing]] = {key: [] for key in images}
    for where, entry in _entries(path, document, "annotations"):
        image, box = _whole(where, entry, "image_id"), _box(where, entry)
        category = _whole(where, entry, "category_id")
        for what, key, known in (("image", image, images), ("category", category, categories)):
            if key not in known:
                raise InputError(f"{where}: there is no {what} {key}")
        size = images[image][1]["height"], images[image][1]["width"]
        segment = read_segment(where, entry.get("segmentation"), size)
        found[image].append(_Thing(box, category, _crowd(where, entry), segment))
    used = {thing.category for things in found.values() for thing in things}
    order = _order(categories, used)
    root = _root(path, [entry["file_name"] for _, entry in images.values()])
    pictures = [
        _annotated(root, where, entry, found[key], order) for key, (where, entry) in images.items()
    ]
    return pictures, tuple(categories[key]["name"] for key in order)


def _document(path: Path) -> Mapping[str, Any]:
    content = read_small(path, LARGEST)
    if content is None:
        raise InputError(f"cannot read {path}: No such file or directory")
    try:
        document = parse_json(content, LARGEST)
    except ValueError as error:
        raise InputError(f"cannot use {path.name}: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path.name} holds no object: wanted images, annotations and categories")
    return document


def _entries(
    path: Path, document: Mapping[str, Any], key: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects of a list, each with how to name it."""
    entries = document.get(key)
    if not isinstance(entries, list):
        raise InputError(f"{path.name} has no list of {key}")
    for number, entry in enumerate(entries):
        where = f"{path.name}: {key}[{number}]"
        if not isinstance(entry, dict):
            raise InputError(f"{where} is no object")
        yield where, entry


def _images(path: Path, document: Mapping[str, Any]) -> dict[int, tuple[str, Mapping[str, Any]]]:
    images: dict[int, tuple[str, Mapping[str, Any]]] = {}
    for where, entry in _entries(path, document, "images"):
        key = _whole(where, entry, "id")
        if key in images:
            raise InputError(f"{where}: image {key} is there twice")
        _text(where, entry, "file_name")
        for side in ("height", "width"):
            if not 1 <= _whole(where, entry, side) <= _LARGEST_SIDE:
                raise InputError(f"{where}: {side} is {entry[side]}")
        images[key] = where, entry
    if not images:
        raise InputError(f"{path.name} lists no image")
    return images


def _categories(path: Path, document: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Give the categories by id, ascending."""
    categories: dict[int, Mapping[str, Any]] = {}
    for where, entry in _entries(path, document, "categories"):
        key = _whole(where, entry, "id")
        _text(where, entry, "name")
        if key in categories:
            raise InputError(f"{where}: category {key} is there twice")
        categories[key] = entry
    return dict(sorted(categories.items()))


def _order(categories: Mapping[int, Mapping[str, Any]], used: set[int]) -> list[int]:
    """List category ids in the order of the labels."""
    parents = {str(entry.get("supercategory")) for entry in categories.values()} - {"none"}
    return [
        key
        for key, entry in categories.items()
        if key in used or parents != {entry["name"]} or len(categories) == 1
    ]


def _annotated(
    root: Path,
    where: str,
    entry: Mapping[str, Any],
    things: Sequence[_Thing],
    order: Sequence[int],
) -> Annotated:
    places = {key: place for place, key in enumerate(order)}
    return Annotated(
        file=inside(root, entry["file_name"], where),
        name=entry["file_name"],
        size=(entry["height"], entry["width"]),
        boxes=np.array([thing.box for thing in things], np.float64).reshape(-1, 4),
        labels=np.array([places[thing.category] for thing in things], np.int64),
        crowd=np.array([thing.crowd for thing in things], np.bool_),
        segments=tuple(thing.segment for thing in things),
    )


def _root(path: Path, names: Sequence[str]) -> Path:
    """Choose the folder that has the first picture: beside, `images`, or named as the document."""
    above = path.parent.parent
    named = above / path.stem.removeprefix("instances_")
    for root in (path.parent, path.parent / "images", above / "images", named, above):
        with contextlib.suppress(InputError):
            inside(above, os.path.relpath(root / names[0], above), path.name)
            return root
    return path.parent


def _whole(where: str, entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{where}: {key} is {value!r:.60}, wanted a whole number")
    return value


def _text(where: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}: {key} is {value!r:.60}, wanted a text")
    return value


def _crowd(where: str, entry: Mapping[str, Any]) -> bool:
    value = entry.get("iscrowd", 0)
    if value not in (0, 1) or isinstance(value, float):
        raise InputError(f"{where}: iscrowd is {value!r:.60}, wanted 0 or 1")
    return bool(value)


def _box(where: str, entry: Mapping[str, Any]) -> list[float]:
    """Read a box as x1, y1, x2, y2."""
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_pixel, box)):
        raise InputError(f"{where}: bbox is {box!r:.60}, wanted x, y, width, height in pixels")
    x, y, width, height = map(float, box)
    if width < 0 or height < 0:
        raise InputError(f"{where}: bbox {box} has a negative size")
    return [x, y, x + width, y + height]


def _is_pixel(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and abs(value) <= _LARGEST_PIXEL

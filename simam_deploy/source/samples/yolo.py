"""YOLO's labels: a text file a picture, a line a box: class, centre x and y, width, height.

The four numbers are fractions of the picture's width and height. `images/a/1.jpg` has its labels
in `labels/a/1.txt`; a picture without a file shows nothing
(https://docs.ultralytics.com/datasets/detect).
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from simam_deploy.core.files import read_small
from simam_deploy.errors import InputError
from simam_deploy.source.samples.annotated import LARGEST_CLASS, Annotated, inside
from simam_deploy.source.samples.pictures import FORMATS

LARGEST = 1 << 20
"""Bytes of a label file: some 20,000 boxes."""
_SLACK = 1e-3
"""By so much of the picture may a box reach out of it: others round to three digits."""


def find_yolo(path: Path) -> tuple[Path, Path] | None:
    """Find the folders of pictures and of labels that a path stands for, if it has both."""
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return path / "images", path / "labels"
    if path.is_dir() and path.name == "images" and (path.parent / "labels").is_dir():
        return path, path.parent / "labels"
    return None


def read_yolo(images: Path, labels: Path) -> list[Annotated]:
    """Read the labels of every picture, in the order of their names.

    Links to folders are not followed, hidden files and folders left alone.

    Raises:
        InputError: There is no picture, one lies outside of its folder, or a line is no box: it is
            named.
    """
    for kind in (images, labels):
        if not kind.resolve().is_relative_to(kind.parent.resolve()):
            raise InputError(f"{kind} is a link that leads out of its folder")
    found = []
    for folder, folders, files in os.walk(images):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(folder).relative_to(images)
        for name in sorted(files):
            if Path(name).suffix.lower() in FORMATS and not name.startswith("."):
                found.append(_annotated(images, labels, below / name))
    if not found:
        raise InputError(f"{images} holds no picture ({', '.join(sorted(FORMATS))})")
    return found


def _annotated(images: Path, labels: Path, name: Path) -> Annotated:
    file = inside(images, str(name), images.name)
    lines = _lines(labels, name.with_suffix(".txt"))
    rows = np.array([_row(text, where) for where, text in lines], np.float64).reshape(-1, 5)
    half = rows[:, 3:] / 2
    boxes = np.concatenate([rows[:, 1:3] - half, rows[:, 1:3] + half], axis=1)
    none = np.zeros(len(rows), np.bool_)
    return Annotated(file, str(name), None, boxes, rows[:, 0].astype(np.int64), none)


def _lines(labels: Path, name: Path) -> list[tuple[str, str]]:
    """Read the lines of a label file that are not blank, each with how to name it."""
    if not os.path.lexists(labels / name):
        return []
    content = read_small(inside(labels, str(name), labels.name), LARGEST)
    try:
        lines = (content or b"").decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"cannot read {name} of {labels.name}: it is not UTF-8 text") from None
    return [(f"{labels.name}/{name}, line {i}", t) for i, t in enumerate(lines, 1) if t.strip()]


def _row(text: str, where: str) -> tuple[float, ...]:
    """Read a class and four fractions.

    Raises:
        InputError: The line holds something else.
    """
    try:
        row = tuple(float(word) for word in text.split())
    except ValueError:
        row = ()
    if len(row) != 5 or not all(map(math.isfinite, row)):
        raise InputError(f"{where}: {text!r:.60} is no box: wanted class, x, y, width, height")
    if row[0] != int(row[0]) or not 0 <= row[0] <= LARGEST_CLASS:
        raise InputError(f"{where}: the class is {row[0]:g}, wanted a whole number from 0")
    if min(row[1:]) < 0 or max(row[1:]) > 1 + _SLACK:
        raise InputError(f"{where}: {text!r:.60}: wanted fractions of the picture, 0 to 1")
    return row

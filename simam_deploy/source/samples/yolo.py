"""YOLO's labels: a text file a picture, a line a box: class, centre x and y, width, height.

The four numbers are fractions of the upright picture's width and height. `images/a/1.jpg` has its
labels in `labels/a/1.txt`; a picture without a file shows nothing
(https://docs.ultralytics.com/datasets/detect). A data.yaml beside both names the classes.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simam_deploy.core.files import read_small
from simam_deploy.errors import InputError
from simam_deploy.source.samples.annotated import LARGEST_CLASS, Annotated, inside
from simam_deploy.source.samples.data_yaml import (
    NAME,
    SUFFIXES,
    class_names,
    picture_folder,
    read_data,
)
from simam_deploy.source.samples.pictures import FORMATS
from simam_deploy.source.samples.sifting import Sieve

LARGEST = 1 << 20
"""Bytes of a label file: some 20,000 boxes."""
_SLACK = 1e-3
"""By so much of the picture may a box reach out of it: others round to three digits."""


@dataclass(frozen=True)
class Folders:
    """Where pictures and their labels lie.

    Attributes:
        images: Of the pictures.
        labels: Of the label files.
        classes: Their names by number, None where nothing says them.
    """

    images: Path
    labels: Path
    classes: tuple[str, ...] | None


def find_yolo(path: Path) -> Folders | None:
    """Find what a path stands for, if there are pictures and labels: see `boxes`.

    Raises:
        InputError: A data.yaml is damaged, or names no folder of pictures below its own.
    """
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return _told_by(path)
    for root in (path, path.parent) if path.name == "images" else (path,):
        if path.is_dir() and (root / "images").is_dir() and (root / "labels").is_dir():
            file = root / NAME
            classes = class_names(file, read_data(file)) if file.is_file() else None
            return Folders(root / "images", root / "labels", classes)
    return _told_by(path / NAME) if (path / NAME).is_file() else None


def _told_by(file: Path) -> Folders:
    """Follow a data.yaml: as `images/a` there is `labels/a`."""
    document = read_data(file)
    images = picture_folder(file, document)
    parts = list(images.parts)
    if "images" not in parts[len(file.parent.parts) :]:
        raise InputError(f"{file.name}: {images} lies in no folder images, so labels are nowhere")
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    labels = Path(*parts)
    if not labels.is_dir():
        raise InputError(f"{file.name}: there is no folder {labels} of labels for {images}")
    return Folders(images, labels, class_names(file, document))


def read_yolo(where: Folders, sieve: Sieve) -> list[Annotated]:
    """Read the labels of every picture, in the order of their names.

    Links to folders are not followed, hidden files and folders left alone.

    Args:
        where: The folders.
        sieve: Counts what is left out.

    Raises:
        InputError: There is no picture, one lies outside of its folder, or a line is no box: it is
            named.
    """
    images, labels = where.images, where.labels
    for kind in (images, labels):
        if not kind.resolve().is_relative_to(kind.parent.resolve()):
            raise InputError(f"{kind} is a link that leads out of its folder")
    found = []
    for folder, folders, files in os.walk(images):
        folders[:] = sorted(name for name in folders if not sieve.is_hidden(name))
        below = Path(folder).relative_to(images)
        for name in sorted(files):
            if not sieve.is_hidden(name) and sieve.is_picture(name):
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

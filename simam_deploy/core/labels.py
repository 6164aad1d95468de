"""The names of a network's classes: text, a name a line, in the order of the scores."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simam_deploy.core.files import read_small
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError

_LARGEST = 1 << 22
"""Bytes: ImageNet-21k's names are 0.5 MB."""
_MOST_CLASSES = 1203
"""LVIS's: a detector's axis that is longer is that of its cells."""
_BETWEEN_WORDS = re.compile(r"[\s_-]+")


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a file of names.

    White space within a name, tabs and such as does not break lines included, is one space; blank
    lines at the end are none.

    Raises:
        InputError: It cannot be read, is larger than 4 MiB, or empty, or a line of it is no name.
    """
    content = read_small(path, _LARGEST)
    if content is None:
        raise InputError(f"cannot read the class names in {path}: No such file or directory")
    try:
        lines = content.decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise InputError(f"cannot read {path}: it is not UTF-8 text: save it as that") from None
    if not lines:
        raise InputError(f"{path} holds no class names: wanted one a line")
    names = tuple(" ".join(line.split()) for line in lines)
    for number, name in enumerate(names, start=1):
        if not is_name(name):
            raise InputError(f"{path}, line {number}: no class name: {name!r:.60}")
    return names


def names_beside(
    path: Path, facts: Mapping[str, Any], outputs: Sequence[TensorSpec]
) -> tuple[str, ...]:
    """Name an artifact's classes by `model.labels.txt` beside `model.onnx`, else as it says itself.

    Args:
        path: The artifact.
        facts: Its manifest.
        outputs: Of the model.

    Raises:
        InputError: The file is there and cannot be read, or has more or fewer names than the
            outputs have scores.
    """
    file = path.with_suffix(".labels.txt")
    if not file.exists():
        return tuple(facts.get("classes", ()))
    names = read_labels(file)
    check_number(names, outputs)
    return names


def label_of(index: int, names: Sequence[str]) -> str:
    """Name a class; one without a name has its number."""
    return names[index] if index < len(names) else str(index)


def check_number(names: Sequence[str], outputs: Sequence[TensorSpec]) -> None:
    """Hold the number of names against that of the scores, where the outputs' shapes tell it.

    Raises:
        InputError: They differ; names both.
    """
    counts = _score_counts([o.shape for o in outputs if "float" in o.dtype])
    if counts and len(names) not in counts:
        likely = sorted(n for n in counts if n <= _MOST_CLASSES) or sorted(counts)
        wanted, shapes = " or ".join(map(str, likely)), ", ".join(map(str, outputs))
        raise InputError(
            f"{len(names)} {'class is' if len(names) == 1 else 'classes are'} named, and there are "
            f"scores of {wanted} ({shapes:.200}): "
            "name one for each, in their order"
        )


Shape = tuple[int | str, ...]


def _score_counts(shapes: Sequence[Shape]) -> set[int]:
    """Give how many classes outputs may have scores of; none where that is not told.

    (N, C) and (N, C, H, W) have C; a detector's are as `detect.decoding` reads them.
    """
    cells = [shape for shape in shapes if len(shape) == 3]
    maps = set(_known(shape[1] for shape in shapes if len(shape) == 4))
    if not cells:
        return maps | set(_known(shape[1] for shape in shapes if len(shape) == 2))
    if any(shape[2] in (4, 5) for shape in cells):  # boxes apart, scores perhaps with a background
        apart = set(_known(shape[2] for shape in cells)) - {4, 5}
        return apart | {count - 1 for count in apart}
    return _counts_beside_boxes(cells[0], maps)


def _counts_beside_boxes(cells: Shape, prototypes: set[int]) -> set[int]:
    """Count the classes of (N, 4 + C, A) or (N, A, 4 + C or 5 + C), masks' coefficients behind.

    Small inputs have fewer cells than classes: which axis is which is not told by its size.
    """
    _, first, last = cells
    if last == 6:  # x1 y1 x2 y2 score class: of any number
        return set()
    rows = [size - 4 for size in _known([first])]
    columns = [size - box for size in _known([last]) for box in (4, 5)]
    counts = (count - extra for count in (*rows, *columns) for extra in (0, *prototypes))
    return {count for count in counts if count > 0}


def _known(sizes: Iterable[int | str]) -> Iterable[int]:
    return (size for size in sizes if isinstance(size, int) and size > 0)


def match_names(found: Sequence[str], known: Sequence[str]) -> dict[str, int]:
    """Find the places of names among those known.

    As they are written; else whatever their case, and however their words are parted: by spaces,
    underscores or hyphens.

    Returns:
        Places by name; what is not known, or stands for several, is left out.
    """
    places: dict[str, int] = {}
    for spelling in (str, _plain):
        written = [spelling(name) for name in known]
        counts = Counter(written)
        once = {name: place for place, name in enumerate(written) if counts[name] == 1}
        for name in found:
            if name not in places and spelling(name) in once:
                places[name] = once[spelling(name)]
    return places


def _plain(name: str) -> str:
    """Spell a name without what people write in different ways."""
    composed = unicodedata.normalize("NFKC", name).casefold()
    return _BETWEEN_WORDS.sub(" ", composed).strip()


def is_name(name: Any) -> bool:
    """Tell what can stand for a class on a line of its own."""
    return isinstance(name, str) and bool(name.strip()) and name.isprintable()

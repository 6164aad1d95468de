"""One picture with its boxes, as an annotation file has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simam_deploy.errors import InputError
from simam_deploy.source.samples.segments import Segment

LARGEST_CLASS = 2**31 - 1


@dataclass(frozen=True)
class Annotated:
    """A picture with its boxes.

    Attributes:
        file: Where it lies.
        name: For messages.
        size: Height and width, None where only the picture knows.
        boxes: float64 (n, 4), x1 y1 x2 y2, in pixels; in fractions of the picture without a size.
        labels: int64 (n,), counted from 0.
        crowd: bool (n,).
        segments: The pixels of what lies in each box, None where nothing says them; none at all
            where the format has none.
    """

    file: Path
    name: str
    size: tuple[int, int] | None
    boxes: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    segments: tuple[Segment | None, ...] = ()


def inside(root: Path, name: str, where: str) -> Path:
    """Find a file that is named relative to a folder.

    Raises:
        InputError: It is not there, or the name or a link leads out of the folder.
    """
    file = root / name
    try:
        if "\0" in name or not file.resolve().is_relative_to(root.resolve()):
            raise InputError(f"{where}: {name!r:.80} leads out of the folder {root.name}")
        there = file.is_file()
    except (OSError, RuntimeError) as error:  # a name too long, a circle of links
        raise InputError(f"{where}: {name!r:.80} cannot be looked up") from error
    if not there:
        raise InputError(f"{where}: {name!r:.80} is not in the folder {root.name}")
    return file

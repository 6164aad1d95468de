"""The outlines of what lies in pictures, as COCO's annotations have them: polygons, or runs.

https://cocodataset.org/#format-data: polygons are x1, y1, x2, y2 ... in pixels; runs count pixels
by turns, not set and set, down the columns from left to right, as numbers or packed into a text.

Both are drawn by COCO's own code, which is written in C and trusts what it is given: what it would
allocate or read beyond is held against bounds here, before it is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simam_deploy.errors import InputError
from simam_deploy.source.samples.placement import Sides

LONGEST = 1 << 18
"""Pixels of a thing's outline: 16 times round a picture of 4096 x 4096. Drawing takes 140 bytes for
each, so 37 MB."""
_BEYOND = 1
"""So many times the picture's side may a point lie outside of it."""
_CORNERS = 3
_MOST_RUNS = 1 << 20
_MOST_TEXT = 1 << 22
_MOST_PIXELS = 1 << 30
"""Runs are counted in 32 bits; Pillow decodes no picture of a tenth of that."""
_LONGEST_NUMBER = 7
"""Letters of a packed number: five bits each, 35 for less than 2^31."""


@dataclass(frozen=True)
class Segment:
    """The pixels of one thing.

    Attributes:
        polygons: float64 (k, 2) each, x and y in pixels of the picture; none where there are runs.
        runs: int64, down the columns, how many pixels are not set, how many then are, and so on.
    """

    polygons: tuple[npt.NDArray[np.float64], ...] = ()
    runs: npt.NDArray[np.int64] | None = None


def read_segment(where: str, value: Any, size: Sides) -> Segment | None:
    """Read what an annotation says of a thing's pixels.

    Args:
        where: Names the annotation, for messages.
        value: Its `segmentation`.
        size: Height and width of the picture.

    Returns:
        None where it says nothing: boxes alone, or no polygon of three corners.

    Raises:
        InputError: It is neither, does not fit the picture, or is beyond every bound.
    """
    if value is None or value == []:
        return None
    try:
        if isinstance(value, Mapping):
            return Segment(runs=_runs(value, size))
        if isinstance(value, list):
            return _outlined([_polygon(each, size) for each in value])
        raise ValueError("it is neither a list of polygons nor runs")
    except ValueError as error:
        raise InputError(f"{where}: segmentation cannot be used: {error}") from None


def _outlined(polygons: Sequence[npt.NDArray[np.float64]]) -> Segment | None:
    """Keep polygons of an area, within the bound."""
    kept = tuple(polygon for polygon in polygons if len(polygon) >= _CORNERS)
    steps = (np.abs(np.diff(polygon, axis=0, append=polygon[:1])).max(axis=1) for polygon in kept)
    around = sum(float(step.sum()) + len(step) for step in steps)
    if around > LONGEST:
        raise ValueError(f"an outline of {around:.0f} pixels, {LONGEST} is the limit")
    return Segment(kept) if kept else None


def _polygon(value: Any, size: Sides) -> npt.NDArray[np.float64]:
    """Read x1, y1, x2, y2 ... as (k, 2)."""
    numbers = _numbers(value)
    if len(numbers) % 2:
        raise ValueError(f"a polygon of {len(numbers)} numbers, wanted pairs")
    points = numbers.astype(np.float64).reshape(-1, 2)
    height, width = size
    sides = np.array([width, height], np.float64)
    inside = (points >= -_BEYOND * sides) & (points <= (1 + _BEYOND) * sides)
    if not inside.all():  # not for NaN either
        raise ValueError(f"a polygon leaves the picture of {width} x {height} pixels")
    return points


def _numbers(value: Any) -> npt.NDArray[Any]:
    """Make an array of a list of numbers."""
    try:
        numbers = np.array(value if isinstance(value, list) else None)
    except (ValueError, OverflowError):  # a ragged list
        numbers = np.array(None)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iuf" and len(numbers)):
        raise ValueError(f"{value!r:.40} is no list of numbers")
    return numbers


def _runs(value: Mapping[str, Any], size: Sides) -> npt.NDArray[np.int64]:
    """Read runs that add up to the picture's pixels."""
    if value.get("size") != list(size):
        raise ValueError(f"runs of size {value.get('size')!r:.40}, the picture has {list(size)}")
    counts = value.get("counts")
    if isinstance(counts, str):
        runs = np.array(_unpacked(counts), np.int64)
    else:
        numbers = _numbers(counts)
        if numbers.dtype.kind == "f" and len(numbers):
            raise ValueError("runs are whole numbers")
        runs = numbers.astype(np.int64)
    pixels = size[0] * size[1]
    if pixels > _MOST_PIXELS:
        raise ValueError(f"a picture of {pixels} pixels, {_MOST_PIXELS} is the limit")
    if len(runs) > _MOST_RUNS or (runs < 0).any() or (runs > pixels).any() or runs.sum() != pixels:
        raise ValueError(f"runs do not add up to the picture's {pixels} pixels")
    return runs


def _unpacked(text: str) -> list[int]:
    """Unpack runs from a text: each letter five bits, from the lowest on, from 48 on in ASCII.

    A sixth bit says that more follow; the highest of the last letter is the sign. From the fourth
    run on, each is written less the one two before.
    """
    if len(text) > _MOST_TEXT:
        raise ValueError(f"runs of {len(text)} letters, {_MOST_TEXT} is the limit")
    runs, number, letters = list[int](), 0, 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or letters == _LONGEST_NUMBER:
            raise ValueError(f"runs that are packed otherwise than COCO's: {text!r:.40}")
        number |= (code & 0x1F) << (5 * letters)
        letters += 1
        if not code & 0x20:
            signed = number - (1 << (5 * letters)) if code & 0x10 else number
            runs.append(signed + (runs[-2] if len(runs) > 2 else 0))
            number, letters = 0, 0
    if letters:
        raise ValueError(f"runs that end within a number: {text!r:.40}")
    return runs

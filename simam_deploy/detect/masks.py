"""Masks that a detector gives for its boxes, pasted into the picture.

A mask (m, m) lies over its box, whatever the box's sides. A pixel's value is read at its centre,
between the four cells nearest to it; cells beyond the mask are 0 (mmdetection's way, which is
`grid_sample(align_corners=False)` of the mask). So a mask reaches half a cell out of its box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array

THRESHOLD = 0.5
"""The least probability of a pixel that belongs to what was detected."""
_BAND = 1 << 18
"""Pixels that are computed at once: 2 MB in float64, where a picture of 12 million takes 96."""
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """The part of a picture that a mask reaches.

    Attributes:
        top: Rows of the picture above it.
        left: Columns of the picture left of it.
        bits: bool (height, width), whether a pixel belongs to what was detected.
    """

    top: int
    left: int
    bits: Bits

    def trimmed(self) -> Cut:
        """Leave out rows and columns at the edges that nothing belongs to."""
        rows, columns = (np.flatnonzero(self.bits.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return Cut(self.top, self.left, self.bits[:0, :0])
        inner = self.bits[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return Cut(self.top + int(rows[0]), self.left + int(columns[0]), inner)

    def whole(self, height: int, width: int) -> Bits:
        """Give it as a mask of the whole picture, (height, width)."""
        picture = np.zeros((height, width), np.bool_)
        rows, columns = self.bits.shape
        picture[self.top : self.top + rows, self.left : self.left + columns] = self.bits
        return picture


def paste(
    masks: Array, boxes: Array, height: int, width: int, threshold: float = THRESHOLD
) -> Bits:
    """Paste masks into a picture.

    Args:
        masks: (n, m, m), probabilities.
        boxes: (n, 4), x1 y1 x2 y2 in pixels of the picture.
        height: Of the picture.
        width: Of the picture.
        threshold: The least value of a pixel that is set.

    Returns:
        bool (n, height, width): 100 masks of 800 x 1344 are 107 MB; `cut_out` gives one, and of it
        no more than it reaches.
    """
    pasted = np.zeros((len(masks), height, width), np.bool_)
    for number, (mask, box) in enumerate(zip(masks, boxes, strict=True)):
        pasted[number] = cut_out(mask, box, height, width, threshold).whole(height, width)
    return pasted


def cut_out(mask: Array, box: Array, height: int, width: int, threshold: float = THRESHOLD) -> Cut:
    """Paste a mask into as much of a picture as it reaches; a box without an area has none.

    Args:
        mask: (m, m), probabilities.
        box: (4,), x1 y1 x2 y2 in pixels of the picture, finite.
        height: Of the picture.
        width: Of the picture.
        threshold: The least value of a pixel that is set.
    """
    x1, y1, x2, y2 = map(float, box)
    if x2 <= x1 or y2 <= y1:
        return Cut(0, 0, np.zeros((0, 0), np.bool_))
    top, rows = _shares(y1, y2, height, mask.shape[0])
    left, columns = _shares(x1, x2, width, mask.shape[1])
    along = mask.astype(np.float64) @ columns.T
    bits = np.empty((len(rows), len(columns)), np.bool_)
    band = max(1, _BAND // max(1, len(columns)))
    for first in range(0, len(rows), band):
        bits[first : first + band] = rows[first : first + band] @ along >= threshold
    return Cut(top, left, bits)


def _shares(low: float, high: float, size: int, cells: int) -> tuple[int, npt.NDArray[np.float64]]:
    """Say what each cell of an axis gives to each pixel that the mask reaches.

    Returns:
        The first of those pixels, and shares (pixels, cells).
    """
    reach = (high - low) / cells / 2
    first = max(0, int(np.floor(min(low - reach, size))))
    last = max(first, min(size, int(np.ceil(max(high + reach, 0)))))
    centres = np.arange(first, last) + 0.5
    places = (centres - low) / (high - low) * cells - 0.5
    return first, np.clip(1 - np.abs(places[:, None] - np.arange(cells)), 0, None)


def described(cut: Cut) -> dict[str, Any]:
    """Describe the rectangle of a picture that a mask reaches, and its pixels by `runs`."""
    inner = cut.trimmed()
    height, width = inner.bits.shape
    place = {"left": inner.left, "top": inner.top, "width": width, "height": height}
    return {**place, "counts": runs(inner.bits)}


def runs(bits: Bits) -> list[int]:
    """Count pixels by turns, row by row: how many are not set, how many then are, and so on.

    A mask whose first pixel is set begins with 0; the counts add up to its pixels.
    """
    flat = np.ravel(bits)
    turns = np.flatnonzero(np.diff(flat, prepend=np.False_)) if len(flat) else np.zeros(0, np.int64)
    return [int(count) for count in np.diff(turns, prepend=0, append=len(flat))]

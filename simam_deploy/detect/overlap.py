"""Boxes that lie over each other; all are x1 y1 x2 y2."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

SUPPRESSED = 0.7
"""The overlap above which the less sure of two boxes of a class goes, as YOLO's own code has it."""
_MOST = 300
"""Boxes that are kept of one picture; COCO counts 100 of a class."""


def overlaps(a: Floats, b: Floats) -> Floats:
    """Give the intersection over union of each of (n, 4) with each of (m, 4): (n, m).

    Boxes without an area overlap nothing.
    """
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    sides = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None)
    common = sides[..., 0] * sides[..., 1]
    union = _areas(a)[:, None] + _areas(b)[None] - common
    over: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return over


def _areas(boxes: Floats) -> Floats:
    sides: Floats = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return sides[:, 0] * sides[:, 1]


def suppress(boxes: Floats, labels: Places, most: int = _MOST) -> Places:
    """Remove boxes that overlap a surer one of their class by more than `SUPPRESSED`.

    Args:
        boxes: (n, 4), the surest first.
        labels: (n,).
        most: How many are kept.

    Returns:
        The places of those that stay, ascending.
    """
    left, kept = np.arange(len(boxes)), list[int]()
    while len(left) and len(kept) < most:
        first, left = int(left[0]), left[1:]
        kept.append(first)
        over = overlaps(boxes[first : first + 1], boxes[left])[0] > SUPPRESSED
        left = left[~(over & (labels[left] == labels[first]))]
    return np.array(kept, np.int64)


def pair_boxes(
    a: Floats, b: Floats, same: npt.NDArray[np.bool_], least: float
) -> list[tuple[int, int, float]]:
    """Pair boxes that overlap by `least` or more, those that overlap most first.

    Args:
        a: (n, 4).
        b: (m, 4).
        same: (n, m), which may be pairs at all.
        least: An overlap.

    Returns:
        Places in both, and the overlap.
    """
    over = np.where(same, overlaps(a, b), 0.0)
    rows, columns = np.nonzero(over >= least)
    pairs, used = list[tuple[int, int, float]](), (set[int](), set[int]())
    for place in np.argsort(-over[rows, columns], kind="stable"):
        i, j = int(rows[place]), int(columns[place])
        if i not in used[0] and j not in used[1]:
            pairs.append((i, j, float(over[i, j])))
            used[0].add(i)
            used[1].add(j)
    return pairs

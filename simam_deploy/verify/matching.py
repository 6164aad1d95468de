"""Pair the rows of two sets, nearest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_NEAREST = 8
"""Partners that are looked at for a row in one round; who finds none of them free tries again."""
_ROUNDS = 3
_CROWD = 1024
"""Rows among which a row's nearest are looked for; 10,000 detections have some 1000 in reach."""
_CHUNK = 64
"""Rows whose distances are in memory at once: 64 x 10,000 x 6 numbers are 31 MB."""
_SWAPS = 1000


@dataclass(frozen=True)
class RowMatch:
    """Which rows are which.

    Attributes:
        pairs: (P, 2), places in the reference and in the candidate, ascending in the first.
        lost: Places in the reference of rows that the candidate has not.
        added: Places in the candidate of rows that the reference has not.
        differences: (F,), the largest difference of each column among the pairs.
    """

    pairs: Places
    lost: Places
    added: Places
    differences: Rows


def match_rows(expected: Rows, got: Rows, scale: npt.ArrayLike, *, padded: bool = True) -> RowMatch:
    """Pair rows, the nearest first, whatever their order; ties go to those at equal places.

    The distance of two rows is their largest difference in units of `scale`. Then rows are swapped
    between pairs as long as that makes the worst pair better.

    Args:
        expected: (R, F), the reference's.
        got: (S, F), the candidate's.
        scale: What each column may differ by in rows that are one, (F,) or one number; infinity
            where a column has no say.
        padded: Whether rows of two columns and more that are 0 or -1 throughout are none.
    """
    ours, theirs = (_present(np.asarray(rows), padded) for rows in (expected, got))
    limits = np.broadcast_to(np.asarray(scale, np.float64), expected.shape[1:])
    told = np.isfinite(limits)
    a, b = (expected[ours][:, told] / limits[told], got[theirs][:, told] / limits[told])
    paired = _swapped(a, b, _pair(a, b))
    paired = paired[np.argsort(paired[:, 0], kind="stable")]
    pairs = np.stack([ours[paired[:, 0]], theirs[paired[:, 1]]], axis=1)
    found = np.abs(expected[pairs[:, 0]] - got[pairs[:, 1]])
    return RowMatch(
        pairs,
        np.setdiff1d(ours, pairs[:, 0]),
        np.setdiff1d(theirs, pairs[:, 1]),
        np.max(found, axis=0, initial=0.0),
    )


def _present(rows: Rows, padded: bool) -> Places:
    """List the rows that are not padding."""
    if not padded or rows.shape[1] < 2:
        return np.arange(len(rows))
    return np.flatnonzero(~np.all((rows == 0) | (rows == -1), axis=1))


def _pair(a: Rows, b: Rows) -> Places:
    """Pair what is nearest, and what is left of crowds in sorted order: (P, 2)."""
    left, right = np.arange(len(a)), np.arange(len(b))
    pairs: list[tuple[int, int]] = []
    for find in (*[_round] * _ROUNDS, _in_order):
        new = find(a, b, left, right) if len(left) and len(right) else []
        pairs += new
        left = np.setdiff1d(left, [i for i, _ in new])
        right = np.setdiff1d(right, [j for _, j in new])
    return np.array(pairs, np.int64).reshape(-1, 2)


def _in_order(a: Rows, b: Rows, left: Places, right: Places) -> list[tuple[int, int]]:
    """Pair rows at equal places in sorted order where they are within reach."""
    ours, theirs = (p[np.lexsort(rows[p].T)] for p, rows in ((left, a), (right, b)))
    count = min(len(ours), len(theirs))
    near = np.flatnonzero(_distance(a[ours[:count]], b[theirs[:count]]) <= 1)
    return [(int(ours[place]), int(theirs[place])) for place in near]


def _round(a: Rows, b: Rows, left: Places, right: Places) -> list[tuple[int, int]]:
    """Give every row its nearest partner that is free, the shortest distance first."""
    found = [np.concatenate(parts) for parts in zip(*_near(a, b, left, right), strict=True)]
    free_left, free_right = np.ones(len(a), bool), np.ones(len(b), bool)
    pairs = []
    for place in np.argsort(found[2], kind="stable"):
        i, j = int(found[0][place]), int(found[1][place])
        if free_left[i] and free_right[j]:
            free_left[i] = free_right[j] = False
            pairs.append((i, j))
    return pairs


def _near(a: Rows, b: Rows, left: Places, right: Places) -> Iterator[tuple[Places, Places, Rows]]:
    """Yield, chunk by chunk, rows with the nearest that are within reach: places, distances.

    Both sides are sorted by the column that tells most, so that a chunk meets but its neighbours.
    """
    column = int(np.argmax(np.ptp(a[left], axis=0)))
    left = left[np.argsort(a[left, column], kind="stable")]
    right = right[np.argsort(b[right, column], kind="stable")]
    for start in range(0, len(left), _CHUNK):
        rows = left[start : start + _CHUNK]
        middle = (start + len(rows) // 2) * len(right) // len(left)
        low, high = _window(a[rows[[0, -1]], column], b[right, column], middle)
        yield _nearest(a, b, rows, right[low:high])


def _window(ends: Rows, others: Rows, middle: int) -> tuple[int, int]:
    """Say which of sorted values are within 1 of the ends: no more than a crowd, at the middle."""
    low, high = _span(others, (ends[0] - 1, ends[1] + 1))
    if high - low <= _CROWD:
        return low, high
    middle = int(np.clip(middle, *_span(others, ends)))
    return max(low, middle - _CROWD // 2), min(high, middle + _CROWD // 2)


def _span(ordered: Rows, ends: Sequence[float] | Rows) -> tuple[int, int]:
    low, high = ends
    return int(np.searchsorted(ordered, low, "left")), int(np.searchsorted(ordered, high, "right"))


def _nearest(a: Rows, b: Rows, rows: Places, others: Places) -> tuple[Places, Places, Rows]:
    distance = _distance(a[rows][:, None], b[others][None])
    # Equal rows are told apart by their places, in steps that are below any rounding of float32.
    apart = np.abs(rows[:, None] - others[None]) / max(len(a), len(b))
    ranked = distance + 1e-9 * apart
    count = min(_NEAREST, len(others))
    best = np.argpartition(ranked, count - 1, axis=1)[:, :count] if count else ranked.astype(int)
    i, k = np.repeat(np.arange(len(rows)), count), best.ravel()
    near = distance[i, k] <= 1
    return rows[i[near]], others[k[near]], ranked[i, k][near]


def _distance(a: Rows, b: Rows) -> Rows:
    """Give the largest difference over all columns, that of broadcast rows."""
    apart: Rows = np.max(np.abs(a - b), axis=-1, initial=0.0)
    return apart


def _swapped(a: Rows, b: Rows, pairs: Places) -> Places:
    """Swap partners of the worst pair while that makes it better."""
    pairs = pairs.copy()
    for _ in range(_SWAPS if len(pairs) else 0):
        ours, theirs = a[pairs[:, 0]], b[pairs[:, 1]]
        apart = _distance(ours, theirs)
        worst = int(np.argmax(apart))
        swapped = np.maximum(_distance(ours[worst], theirs), _distance(ours, theirs[worst]))
        other = int(np.argmin(swapped))
        if swapped[other] >= apart[worst]:
            break
        pairs[[worst, other], 1] = pairs[[other, worst], 1]
    return pairs

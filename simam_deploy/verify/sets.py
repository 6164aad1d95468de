"""Compare outputs whose rows are a set: in any order, each row with the one nearest to it.

And outputs that are indices: by the values they point to, so that a tie may go either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.graph.selection.outputs import Selection

REACH = 1 / 16
"""Rows further apart in a column, relative to its largest magnitude, are not one row that moved:
the first is lost, the second added. 40 pixels of 640, and fifteen times what fp16 may cost."""
_WHOLE = 0.75
"""The same of a column of whole numbers, as labels are: another label is another row."""
_WIDEST = 16
"""Rows are told apart by outputs of up to that many columns a row; masks are compared only."""


def groups(outputs: Feeds, selected: Mapping[str, Selection]) -> list[list[str]]:
    """List the outputs that share their rows, group by group."""
    found: dict[tuple[object, ...], list[str]] = {}
    for name, each in selected.items():
        if each.axis is not None and name in outputs:
            key = (each.by, *outputs[name].shape[: each.axis + 1])
            found.setdefault(key, []).append(name)
    return list(found.values())


def unlike(expected: Array, got: Array | None, axis: int) -> str:
    """Say why two outputs cannot hold the same rows, or nothing; their number may differ."""
    if got is None:
        return "output missing"
    one, other = list(expected.shape), list(got.shape)
    if len(one) != len(other) or one[:axis] + one[axis + 1 :] != other[:axis] + other[axis + 1 :]:
        return f"shape {got.shape}, expected {expected.shape}"
    return ""


def joined(arrays: Sequence[Array], axis: int) -> npt.NDArray[np.float64]:
    """Lay outputs (batch..., rows, features...) side by side: (batches, rows, columns)."""
    rows = arrays[0].shape[axis]
    batches = int(np.prod(arrays[0].shape[:axis]))
    widths = [int(np.prod(array.shape[axis + 1 :])) for array in arrays]
    flat = [a.reshape(batches, rows, w) for a, w in zip(arrays, widths, strict=True)]
    return np.concatenate([each.astype(np.float64) for each in flat], axis=2)


def scales(rows: npt.NDArray[np.float64], widths: Sequence[int]) -> npt.NDArray[np.float64]:
    """Say by column how far a row may move; infinity where rows are not told apart by it."""
    scale = row_scales(rows.reshape(-1, rows.shape[-1]))
    narrow = np.concatenate([np.full(width, width <= _WIDEST) for width in widths])
    return np.where(narrow | (not narrow.any()), scale, np.inf)


def row_scales(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Say by column of (R, F) how far a row may move and be the same."""
    largest = np.max(np.abs(rows), axis=0, initial=0.0)
    whole = np.all(rows == np.round(rows), axis=0)
    return np.where(whole, _WHOLE, np.maximum(REACH * largest, np.finfo(np.float32).tiny))


@dataclass(frozen=True)
class IndexDifference:
    """Indices held against the reference's.

    Attributes:
        count: How many there are.
        moved: How many differ.
        max_abs: The largest difference between the reference's values at the two places;
            infinity where one points outside, is given twice, or all are off by one number.
        reason: Which of these, if one.
    """

    count: int
    moved: int
    max_abs: float
    reason: str = ""


def compare_indices(expected: Array, got: Array, values: Array, axis: int) -> IndexDifference:
    """Judge indices by the reference's values that they point to.

    An index is right where its value is within the bound of the value at the reference's index: a
    tie that rounding made or broke. Where every index is off by one number and not between equals,
    it is no tie.

    Args:
        expected: The reference's indices, as `pointed_values` found them: the value's shape, `axis`
            having one size for each index, in any shape of that many numbers.
        got: The candidate's, of the same shape.
        values: What the reference's point into, finite.
        axis: Along which.
    """
    lines = np.moveaxis(np.asarray(values, np.float64), axis, -1)
    ours, theirs = (_lined_up(array, values.shape, axis) for array in (expected, got))
    moved = ours != theirs
    reason = _impossible(theirs, lines.shape[-1])
    if reason:
        return IndexDifference(ours.size, int(moved.sum()), float("inf"), reason)
    there, here = (np.take_along_axis(lines, each, -1) for each in (ours, theirs))
    worst = float(np.max(np.abs(there - here), initial=0.0))
    if worst and _is_systematic(ours, theirs):
        reason = f"every index is off by {(theirs - ours).flat[0]}"
        return IndexDifference(ours.size, int(moved.sum()), float("inf"), reason)
    return IndexDifference(ours.size, int(moved.sum()), worst)


def _lined_up(indices: Array, shape: tuple[int, ...], axis: int) -> npt.NDArray[np.int64]:
    """Give indices the axes of what they point into, theirs last."""
    axis %= len(shape)
    laid = np.asarray(indices, np.int64).reshape(*shape[:axis], -1, *shape[axis + 1 :])
    return np.moveaxis(laid, axis, -1)


_SYSTEMATIC = 4
"""So many indices that all moved alike did not move by ties."""


def _is_systematic(ours: npt.NDArray[np.int64], theirs: npt.NDArray[np.int64]) -> bool:
    steps = np.unique(theirs - ours)
    return ours.size >= _SYSTEMATIC and len(steps) == 1 and bool(steps[0])


def _impossible(theirs: npt.NDArray[np.int64], size: int) -> str:
    """Say what no tie makes of indices, or nothing."""
    if np.any((theirs < 0) | (theirs >= size)):
        return f"an index is outside of 0 to {size - 1}"
    ordered = np.sort(theirs, axis=-1)
    if np.any(ordered[..., 1:] == ordered[..., :-1]):
        return "an index is given twice"
    return ""

"""Compare outputs whose rows are a set: in any order, each row with the one nearest to it.

And outputs that are indices: by the values they point to, so that a tie may go either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.verify.matching import RowMatch, match_rows
from simam_deploy.verify.selection import Selection

REACH = 1 / 16
"""Rows further apart in a column, relative to its largest magnitude, are not one row that moved:
the first is lost, the second added. 40 pixels of 640, and fifteen times what fp16 may cost."""
_WHOLE = 0.75
"""The same of a column of whole numbers, as labels are: another label is another row."""
_WIDEST = 16
"""Rows are told apart by outputs of up to that many columns a row; masks are compared only."""


@dataclass(frozen=True)
class ColumnDifference:
    """The largest difference of one column among the rows that were found again.

    Attributes:
        output: Its name.
        column: Its place in a row of that output.
        max_abs: The difference.
        max_rel: That over the largest magnitude of the reference's column.
    """

    output: str
    column: int
    max_abs: float
    max_rel: float


@dataclass(frozen=True)
class SetDifference:
    """Outputs that share their rows, held against the reference's.

    Attributes:
        outputs: Their names.
        rows: How many rows the reference has, over the whole batch.
        lost: How many of them the candidate has not.
        added: How many of the candidate's the reference has not.
        columns: Of the others.
        reason: Why nothing could be compared.
    """

    outputs: tuple[str, ...]
    rows: int
    lost: int
    added: int
    columns: tuple[ColumnDifference, ...]
    reason: str = ""


def compare_sets(
    expected: Feeds, got: Feeds, selected: Mapping[str, Selection]
) -> list[SetDifference]:
    """Compare the outputs whose rows are a set; those without a known axis are left out.

    Outputs are joined where one selection made their rows and they have equally many: a box goes
    with its score and its label. Rows that are 0 or -1 throughout fill an output up to its fixed
    size, and count as none. NonMaxSuppression's own output is to be replaced by `nms_rows` first.

    Args:
        expected: The reference's outputs, finite.
        got: The candidate's, finite.
        selected: What `selected_outputs` found.

    Returns:
        One a group, in the order of the outputs.
    """
    return [_compare(names, expected, got, selected) for names in groups(expected, selected)]


def groups(outputs: Feeds, selected: Mapping[str, Selection]) -> list[list[str]]:
    """List the outputs that share their rows, group by group."""
    found: dict[tuple[object, ...], list[str]] = {}
    for name, each in selected.items():
        if each.axis is not None and name in outputs:
            key = (each.by, *outputs[name].shape[: each.axis + 1])
            found.setdefault(key, []).append(name)
    return list(found.values())


def _compare(
    names: Sequence[str], expected: Feeds, got: Feeds, selected: Mapping[str, Selection]
) -> SetDifference:
    axis = selected[names[0]].axis or 0
    for name in names:
        reason = unlike(expected[name], got.get(name), axis)
        if reason:
            return SetDifference(tuple(names), 0, 0, 0, (), f"{name}: {reason}")
    if len({got[name].shape[: axis + 1] for name in names}) > 1:
        return SetDifference(tuple(names), 0, 0, 0, (), "the candidate's outputs differ in rows")
    ours, theirs = (joined([side[n] for n in names], axis) for side in (expected, got))
    widths = [int(np.prod(expected[name].shape[axis + 1 :])) for name in names]
    padded = any(expected[name].dtype.kind not in "iub" for name in names)
    matches = list(_matched(ours, theirs, scales(ours, widths), padded))
    columns = _columns(names, widths, ours, matches)
    rows, lost, added = (sum(n) for n in zip(*map(_counts, matches), strict=True))
    return SetDifference(tuple(names), rows, lost, added, tuple(columns))


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


def _matched(
    ours: npt.NDArray[np.float64],
    theirs: npt.NDArray[np.float64],
    scale: npt.NDArray[np.float64],
    padded: bool,
) -> Iterator[RowMatch]:
    for one, other in zip(ours, theirs, strict=True):
        yield match_rows(one, other, scale, padded=padded)


def _counts(match: RowMatch) -> tuple[int, int, int]:
    return len(match.pairs) + len(match.lost), len(match.lost), len(match.added)


def _columns(
    names: Sequence[str],
    widths: Sequence[int],
    ours: npt.NDArray[np.float64],
    matches: Sequence[RowMatch],
) -> Iterator[ColumnDifference]:
    worst = np.max([match.differences for match in matches], axis=0, initial=0.0)
    largest = np.max(np.abs(ours), axis=(0, 1), initial=0.0)
    relative = worst / np.where(largest, largest, 1.0)
    places = [(name, i) for name, w in zip(names, widths, strict=True) for i in range(w)]
    for (name, i), absolute, rel in zip(places, worst, relative, strict=True):
        yield ColumnDifference(name, i, float(absolute), float(rel))


def nms_rows(indices: Array, boxes: Array, scores: Array) -> npt.NDArray[np.float64]:
    """Replace NonMaxSuppression's indices by what they select: box numbers mean nothing.

    Args:
        indices: (num, 3): batch, class, box.
        boxes: What the node was given, (batch, boxes, 4).
        scores: (batch, classes, boxes).

    Returns:
        (num, 7): batch, class, the box's four numbers, its score. What points out of the tensors
        is -1 throughout, but for the batch and the class.
    """
    batch, label, box = np.asarray(indices, np.int64).reshape(-1, 3).T
    inside = (batch < boxes.shape[0]) & (label < scores.shape[1]) & (box < boxes.shape[1])
    inside &= (batch >= 0) & (label >= 0) & (box >= 0)
    rows = np.full((len(box), 7), -1.0)
    rows[:, 0], rows[:, 1] = batch, label
    b, c, i = batch[inside], label[inside], box[inside]
    rows[inside, 2:6], rows[inside, 6] = boxes[b, i], scores[b, c, i]
    return rows


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
    tie that rounding made or broke. Where every index is off by one number, it is no tie.

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
    reason = _impossible(ours, theirs, lines.shape[-1])
    if reason:
        return IndexDifference(ours.size, int(moved.sum()), float("inf"), reason)
    there, here = (np.take_along_axis(lines, each, -1) for each in (ours, theirs))
    worst = float(np.max(np.abs(there - here), initial=0.0))
    return IndexDifference(ours.size, int(moved.sum()), worst)


def _lined_up(indices: Array, shape: tuple[int, ...], axis: int) -> npt.NDArray[np.int64]:
    """Give indices the axes of what they point into, theirs last."""
    axis %= len(shape)
    laid = np.asarray(indices, np.int64).reshape(*shape[:axis], -1, *shape[axis + 1 :])
    return np.moveaxis(laid, axis, -1)


_SYSTEMATIC = 4
"""So many indices that all moved alike did not move by ties."""


def _impossible(ours: npt.NDArray[np.int64], theirs: npt.NDArray[np.int64], size: int) -> str:
    """Say what no tie makes of indices, or nothing."""
    if np.any((theirs < 0) | (theirs >= size)):
        return f"an index is outside of 0 to {size - 1}"
    ordered = np.sort(theirs, axis=-1)
    if np.any(ordered[..., 1:] == ordered[..., :-1]):
        return "an index is given twice"
    steps = np.unique(theirs - ours)
    if ours.size >= _SYSTEMATIC and len(steps) == 1 and steps[0]:
        return f"every index is off by {steps[0]}"
    return ""

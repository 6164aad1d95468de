"""An output in rows and slices, each with its own scale.

One maximum over an output hides whatever is small in it: beside boxes of 0 to 640 pixels, scores
of 0 to 1 could be zeroed. So a difference is looked at in every row (a sample of the batch) and
in every slice of it along every axis: channels, classes, cells. A figure of slices is a list of
arrays (rows, slices), one an axis.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array

Sliced = list[npt.NDArray[np.float64]]
"""By axis, a figure for each (row, slice)."""


def as_rows(array: Array, batch: int) -> Array:
    """Give an array the axis of the batch, of one row where it has none."""
    return array if array.ndim and len(array) == batch else array[None]


def axes_of(rows: Array) -> tuple[int, ...]:
    """List the axes that slices are taken along: all that have some, or else the last."""
    axes = tuple(axis for axis in range(1, rows.ndim) if rows.shape[axis] > 1)
    return axes or (max(rows.ndim - 1, 0),)


def by_slice(rows: Array, reduce: Callable[..., Array]) -> Sliced:
    """Reduce all axes but the rows' and the slices'.

    Args:
        rows: (rows, ...).
        reduce: `np.max` or the like.
    """
    found = []
    for axis in axes_of(rows):
        others = tuple(a for a in range(1, rows.ndim) if a != axis)
        figure = reduce(rows, axis=others) if others else rows
        found.append(figure.reshape(len(rows), -1).astype(np.float64))
    return found


def largest(rows: Array) -> Sliced:
    """Give the largest magnitude of each slice."""
    return by_slice(np.abs(rows), np.max)


def place_of(rows: Array, axis: int, number: int) -> str:
    """Word where a slice is; nothing where there is but one."""
    along = axes_of(rows)[axis]
    if rows.ndim <= 1 or rows.shape[along] == 1:
        return ""
    return f"{number} of {rows.shape[along]} along axis {along}"


def worst_slice(errors: Sliced, allowed: Sliced) -> tuple[int, int, int]:
    """Find the axis, row and slice whose error is most times what is allowed there."""
    ratios = [ratio(e, a) for e, a in zip(errors, allowed, strict=True)]
    axis = int(np.argmax([r.max(initial=-1.0) for r in ratios]))
    row, number = np.unravel_index(int(np.argmax(ratios[axis])), ratios[axis].shape)
    return axis, int(row), int(number)


def ratio(errors: Array, allowed: Array) -> Array:
    """Divide; beyond a bound of 0 is whatever is not 0, and NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(errors == 0, 0.0, errors / allowed)
    return np.where(np.isnan(times), np.inf, times)

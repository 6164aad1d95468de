"""How outputs lie: which are sets of rows, and which point into a value.

A set's rows are put into the reference's order before they are compared, so that whoever compares
them, slice by slice, sees each row beside the one that it is. What was lost or added shows in an
output of its own, of True where a row was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.graph.selection.outputs import (
    Pointed,
    Selection,
    counting_outputs,
    pointed_values,
    selected_outputs,
)
from simam_deploy.verify.matching import RowMatch, match_rows
from simam_deploy.verify.sets import groups, joined, scales, unlike

ROWS = "rows of "
"""Begins the name of an output that tells which rows of a set were found."""


@dataclass(frozen=True)
class Layout:
    """The outputs of a graph that are not compared place by place.

    Attributes:
        selected: By output, what chose its rows.
        pointed: By output, what its indices point into.
        counts: Those that say how many rows there are.
    """

    selected: Mapping[str, Selection] = field(default_factory=dict)
    pointed: Mapping[str, Pointed] = field(default_factory=dict)
    counts: frozenset[str] = frozenset()

    def is_set(self, name: str) -> bool:
        """Tell whether an output is a set, or tells of one."""
        return name in self.selected or name.startswith(ROWS) or name in self.counts

    def arranged(self, expected: Feeds, got: Feeds) -> tuple[Feeds, Feeds]:
        """Put the rows of sets into the reference's order.

        Returns:
            Both sides, with an output more for every set; a row that was lost is the reference's
            own on both.
        """
        sets = {name: how for name, how in self.selected.items() if name not in self.pointed}
        ours, theirs = dict(expected), dict(got)
        for names in groups(expected, sets):
            axis = sets[names[0]].axis or 0
            if any(unlike(expected[name], got.get(name), axis) for name in names):
                continue
            if len({got[name].shape[: axis + 1] for name in names}) > 1:
                continue
            matches = _matches(names, expected, got, axis)
            for name in names:
                theirs[name] = _in_order(expected[name], got[name], axis, matches)
            found = f"{ROWS}{', '.join(names)}"
            ours[found], theirs[found] = _found(matches)
        return ours, theirs


def layout_of(model: ir.Model) -> Layout:
    """Read a graph of plain ops whose shapes are known."""
    return Layout(selected_outputs(model), pointed_values(model), counting_outputs(model))


def _matches(
    names: Sequence[str], expected: Feeds, got: Feeds, axis: int
) -> list[tuple[int, RowMatch]]:
    """Match the rows of every batch; beside each match how many rows the reference has."""
    ours, theirs = (joined([side[name] for name in names], axis) for side in (expected, got))
    widths = [int(np.prod(expected[name].shape[axis + 1 :])) for name in names]
    padded = any(expected[name].dtype.kind not in "iub" for name in names)
    limits = scales(ours, widths)
    return [
        (len(one), match_rows(one, other, limits, padded=padded))
        for one, other in zip(ours, theirs, strict=True)
    ]


def _in_order(
    expected: Array, got: Array, axis: int, matches: Sequence[tuple[int, RowMatch]]
) -> Array:
    """Give the candidate's rows where the reference has theirs."""
    batches = expected.shape[:axis]
    laid = expected.reshape(len(matches), *expected.shape[axis:]).copy()
    rows = got.reshape(len(matches), *got.shape[axis:])
    for number, (_, match) in enumerate(matches):
        laid[number, match.pairs[:, 0]] = rows[number, match.pairs[:, 1]]
    return laid.reshape(*batches, *expected.shape[axis:])


def _found(matches: Sequence[tuple[int, RowMatch]]) -> tuple[Array, Array]:
    """Mark the rows that were found; one that was added counts as one that was lost."""
    most = max(1, *(count for count, _ in matches))
    wanted = np.ones((len(matches), most), bool)
    found = wanted.copy()
    for row, (_, match) in enumerate(matches):
        found[row, : min(most, len(match.lost) + len(match.added))] = False
    return wanted, found

"""A part's table: rows by cell, each with the day, the GPU, its driver and the versions.

A cell is what is measured at a time. Its newest rows of a GPU stand in the place of its older ones,
and the file is replaced whole: a run that is killed leaves the cells that were done.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Cell = tuple[str, ...]
Row = Mapping[str, object]
Stamp = Mapping[str, str]
"""The first four columns of every row; `date` is when the run began."""

STAMP = ("date", "gpu", "driver", "with")
START = (*STAMP, "part")
END = ("right", "why")
"""Whether a figure is what it has to be, "" where nothing says; and why there is none."""
_ALIKE = ("gpu", "driver", "with")


@dataclass(frozen=True)
class Table:
    """A file of rows.

    Attributes:
        path: It need not be there.
        part: Whose rows these are; a table may have several parts'.
        asked: The columns that name a cell.
        columns: Those measured.
        stamp: Of this run.
    """

    path: Path
    part: str
    asked: Sequence[str]
    columns: Sequence[str]
    stamp: Stamp

    def done(self, cell: Cell, again: bool) -> bool:
        """Tell whether a cell was measured, or tried in this run.

        Args:
            cell: By the columns `asked`.
            again: Whether what an earlier run measured does not count.
        """
        rows = [row for row in self.alike() if self._names(row) == cell]
        if any(row["date"] == self.stamp["date"] for row in rows):
            return True
        return bool(rows) and not again and not any(row["why"] for row in rows)

    def failed(self, cell: Cell) -> bool:
        """Tell whether a cell was tried and has no figures, or not all."""
        return any(row["why"] for row in self.alike() if self._names(row) == cell)

    def put(self, cell: Cell, rows: Iterable[Row]) -> None:
        """Write a cell's rows in the place of those it has of this GPU."""
        kept = [
            row
            for row in read_rows(self.path)
            if (row["part"], row["gpu"]) != (self.part, self.stamp["gpu"])
            or self._names(row) != cell
        ]
        start = {**self.stamp, "part": self.part, **dict(zip(self.asked, cell, strict=True))}
        write_rows(self.path, self.header, [*kept, *({**start, **row} for row in rows)])

    @property
    def header(self) -> tuple[str, ...]:
        """All columns."""
        return (*START, *self.asked, *self.columns, *END)

    def alike(self) -> list[dict[str, str]]:
        """Give the rows that stand for this GPU, driver and these versions."""
        own = (row for row in read_rows(self.path) if row["part"] == self.part)
        return [row for row in own if all(row[c] == self.stamp[c] for c in _ALIKE)]

    def _names(self, row: Mapping[str, str]) -> Cell:
        return tuple(row.get(column, "") for column in self.asked)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table; one that is not there has no rows."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Row]) -> None:
    """Replace a table whole."""
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, header, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)

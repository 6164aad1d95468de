"""A table of figures in a file, which grows by a row as soon as a row is known."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simam_deploy.bench.records import Circumstances
from simam_deploy.core.staging import explained
from simam_deploy.errors import InputError

FACTS = ("date", "machine", "gpu", "with", "threads")
"""The columns that every table begins with."""


class Table:
    """A .csv that rows are added to: after those that are there already.

    Args:
        path: The file; it may be there, if its columns are these.
        columns: Behind those of `FACTS`.
        circumstances: Of every row.

    Raises:
        InputError: It cannot be written, or holds another table.
    """

    def __init__(self, path: Path, columns: Sequence[str], circumstances: Circumstances) -> None:
        self._path = path
        self._columns = (*FACTS, *columns)
        self._facts = _facts(circumstances)
        with explained(path):
            there = path.exists() and path.stat().st_size > 0
            if there and _header(path) != list(self._columns):
                raise InputError(f"{path} holds another table: name another file")
            if not there:
                self._write([dict(zip(self._columns, self._columns, strict=True))])

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows.

        Raises:
            InputError: They cannot be written.
        """
        with explained(self._path):
            self._write([{**self._facts, **row} for row in rows])

    def _write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerows(rows)


def _header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return next(csv.reader(file), [])


def _facts(circumstances: Circumstances) -> dict[str, Any]:
    versions = ", ".join(f"{name} {v}" for name, v in circumstances.versions.items())
    return {
        "date": circumstances.date,
        "machine": circumstances.machine,
        "gpu": circumstances.gpu or "",
        "with": versions,
        "threads": circumstances.threads,
    }

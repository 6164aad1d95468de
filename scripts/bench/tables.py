"""A table in a file that grows as rows are measured: a bench that is stopped has what it has."""

from __future__ import annotations

import csv
import datetime
import importlib.metadata
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FACTS = ("date", "machine", "with")
"""The columns that every table begins with."""


def facts(*packages: str) -> dict[str, str]:
    """Give the day, the machine, and the versions of packages."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    today = datetime.date.today().isoformat()
    return dict(zip(FACTS, (today, f"{os.cpu_count()} CPU cores", versions), strict=True))


def recorded(
    path: Path | None, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """Pass on rows, each written into a new file, if there is to be one, before the next."""
    if path is None:
        yield from rows
        return
    path.unlink(missing_ok=True)
    yield from appended(path, columns, rows)


def appended(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """Pass on rows as `recorded` does, each added to what a file holds already."""
    begun = path.exists()
    with path.open("a", newline="") as table:
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        if not begun:
            writer.writeheader()
        for row in rows:
            writer.writerow(row)
            table.flush()
            yield row


def stand_in(path: Path, columns: Sequence[str]) -> set[tuple[str, ...]]:
    """Give what rows of a table, if it is there, have in these columns: it is measured already."""
    if not path.exists():
        return set()
    with path.open(newline="") as table:
        return {tuple(row[column] for column in columns) for row in csv.DictReader(table)}

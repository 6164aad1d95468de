"""Tables as wide as the terminal, or 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from simam_deploy.report.terminal import one_line, room

_SHORTEST_NAME = 14
_NARROWEST_VALUE = 20


def columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Align the cells of all rows, two spaces apart; the first column gives way."""
    table = [[one_line(cell) for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    widths[0] = min(widths[0], max(room() - sum(widths[1:]) - 2 * len(widths), _SHORTEST_NAME))
    rows = [(short(row[0], widths[0]), *row[1:]) for row in table]
    padded = [[cell.ljust(w) for cell, w in zip(row, widths, strict=True)] for row in rows]
    return [f"  {'  '.join(row)}".rstrip() for row in padded]


def wrapped(value: str, before: int) -> list[str]:
    """Wrap a value that stands `before` columns from the left; it is never a mere column of words.

    Args:
        value: Text.
        before: What its label takes.
    """
    width = max(room() - before, _NARROWEST_VALUE)
    return textwrap.wrap(value, width, break_long_words=False, break_on_hyphens=False)


def short(name: str, width: int) -> str:
    """Cut a name in its front: modules differ in the back."""
    return name if len(name) <= width else f"...{name[3 - width :]}"


def size_text(size: int) -> str:
    """Word a file's bytes: "1.1 MB", and below a tenth of one "42.3 kB"."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"

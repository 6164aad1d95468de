r"""What reaches a terminal: text in which nothing steers it.

Files name their nodes, inputs and classes as they like, and libraries repeat it. An escape sequence
in a name would colour, clear or overwrite what is on a terminal, and a control of the writing
direction would let a name read as another; they are shown as Python writes them, `\x1b`.
"""

from __future__ import annotations

import os
import re
import sys

WIDEST = 100
"""Columns of a text in a wider terminal, or in none: longer lines are hard to read."""
_NARROWEST = 20

# C0, DEL and C1; marks, embeddings and isolates of direction; line and paragraph separators; and
# halves of a surrogate pair, which stand for the bytes of a file's name that are no UTF-8.
_STEERS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_STEERS_IN_LINES = re.compile(rf"(?!\n){_STEERS.pattern}")


def columns() -> int:
    """Give the terminal's width: what COLUMNS says, else its own, else 80; 20 at least.

    As shutil does, whose import, of compression too, is a fifth of the start of `simam --help`.
    """
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return max(int(said), _NARROWEST)
    try:
        return max(os.get_terminal_size(1).columns or 80, _NARROWEST)
    except OSError:
        return 80


def is_narrow() -> bool:
    """Tell whether a text has to fit: on a terminal, or where COLUMNS says how wide it is.

    What goes into a pipe or a file does not depend on the terminal that this is done in.
    """
    return "COLUMNS" in os.environ or (sys.stdout is not None and sys.stdout.isatty())


def room() -> int:
    """Give the columns that a text for people may take."""
    return min(columns(), WIDEST) if is_narrow() else WIDEST


def one_line(text: str) -> str:
    """Escape what steers a terminal, and what ends a line."""
    return _STEERS.sub(_escape, text)


def lines(text: str) -> str:
    """Escape what steers a terminal; lines stay lines."""
    return _STEERS_IN_LINES.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()

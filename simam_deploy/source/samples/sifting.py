"""What of a folder is no picture: left alone, counted, and said."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from simam_deploy.source.samples.pictures import FORMATS

_SHOWN = 4
_OF_SYSTEMS = ("__MACOSX", "@eaDir")
"""Folders that macOS puts into a .zip, and Synology's servers beside pictures."""


class Sieve:
    """Tells pictures by their names, and counts what it did not let through."""

    def __init__(self) -> None:
        self.outside = 0
        """Links that lead out of the folder, which whoever looks at them counts."""
        self.deeper = 0
        """Folders that are not looked into."""
        self._hidden = 0
        self._others: Counter[str] = Counter()

    def is_hidden(self, name: str) -> bool:
        """Tell what systems put beside files (`._1.png`, `.DS_Store`) and do not show."""
        hidden = name.startswith(".") or name in _OF_SYSTEMS
        self._hidden += hidden
        return hidden

    def is_picture(self, name: str) -> bool:
        """Tell a file that is to be decoded, by its suffix."""
        suffix = Path(name).suffix.lower()
        if suffix not in FORMATS:
            self._others[suffix] += 1
        return suffix in FORMATS

    def notes(self) -> tuple[str, ...]:
        """Say what was left out, a line a kind."""
        kinds = sorted(kind or "no suffix" for kind in self._others)
        shown = ", ".join(kinds[:_SHOWN]) + (", ..." if len(kinds) > _SHOWN else "")
        counts = {
            "links that lead out of the folder": self.outside,
            "folders within folders of pictures": self.deeper,
            "hidden files": self._hidden,
            f"files that are no pictures ({shown})": self._others.total(),
        }
        return tuple(f"{what} were left out: {n}" for what, n in counts.items() if n)

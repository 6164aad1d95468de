"""What was written for another server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Deployment:
    """Files for another server: `path` is the model's folder or the one file."""

    kind: str
    path: Path
    name: str
    files: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam export --json` prints."""
        return {
            "kind": self.kind,
            "path": str(self.path),
            "name": self.name,
            "files": list(self.files),
            "notes": list(self.notes),
        }

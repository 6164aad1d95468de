"""Where a part is run: on a GPU, or dry, on a machine that has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
WORK = ROOT / "build" / "gpu"
"""Files that are made ahead, here or elsewhere (`pack`), and compiled kernels."""


@dataclass(frozen=True)
class Setting:
    """What a part is told.

    Attributes:
        dry: Whether there is no GPU: all is tried on the host, and tiny.
        work: Folder of files that are made once.
        of: What of several alike a part is about, a network say.
    """

    dry: bool = False
    work: Path = WORK
    of: str = ""

    @property
    def device(self) -> str:
        """Where tensors lie."""
        return "cpu" if self.dry else "cuda"

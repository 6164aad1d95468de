"""Pictures in a folder, or in one subfolder a class.

Labels are the places of the subfolders in sorted order; where every name is a whole number, the
label is that number ("10" comes before "2" only among words). Deeper folders, hidden ones, other
files, and links that lead out of the folder are left alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simam_deploy.errors import InputError
from simam_deploy.source.samples.pictures import FORMATS, decode, require_pillow
from simam_deploy.source.samples.preparation import Preparation


class PictureFolder:
    """The pictures of a folder, with labels if they lie in subfolders.

    Raises:
        InputError: There is no picture, nobody said how to prepare one, or Pillow is missing.
    """

    def __init__(self, root: Path, prepare: Preparation | None) -> None:
        require_pillow()
        if prepare is None:
            raise InputError(
                f"{root.name}: nothing says how a picture becomes an input of this network; give "
                "an .npz of float arrays as the network takes them"
            )
        self._root = root.resolve()
        self._prepare = prepare
        self._outside = 0
        loose = self._pictures(self._root)
        classes = [] if loose else _classes(self._folders())
        self._files = loose or [
            (file, label) for label, path in classes for file, _ in self._pictures(path)
        ]
        if not self._files:
            suffixes = ", ".join(sorted(FORMATS))
            raise InputError(
                f"{root} holds no picture ({suffixes}), nor do its subfolders{self._left_out()}"
            )
        self.labelled = not loose
        self.classes = tuple(path.name for _, path in classes) if self.labelled else None
        self.notes: tuple[str, ...] = (self._left_out().strip("; "),) if self._outside else ()

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self._files)

    def read(self, chosen: Sequence[int]) -> Iterator[tuple[str, npt.NDArray[np.float32], int]]:
        """Yield name, prepared picture and label."""
        for index in chosen:
            file, label = self._files[index]
            name = str(file.relative_to(self._root))
            yield name, self._prepare(decode(file, name)), label

    def _pictures(self, folder: Path) -> list[tuple[Path, int]]:
        """List the pictures directly in a folder, by name, labelled 0."""
        named = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in FORMATS]
        return [(p, 0) for p in named if self._inside(p) and p.is_file()]

    def _folders(self) -> list[Path]:
        paths = [p for p in sorted(self._root.iterdir()) if not p.name.startswith(".")]
        return [p for p in paths if self._inside(p) and p.is_dir()]

    def _inside(self, path: Path) -> bool:
        """Tell whether a link, if it is one, stays within the folder."""
        inside = not path.is_symlink() or path.resolve().is_relative_to(self._root)
        self._outside += not inside
        return inside

    def _left_out(self) -> str:
        if not self._outside:
            return ""
        return f"; links that lead out of the folder were left out: {self._outside}"


def _classes(folders: list[Path]) -> list[tuple[int, Path]]:
    """Number the class folders.

    Raises:
        InputError: Two names are one number.
    """
    if not all(path.name.isascii() and path.name.isdigit() for path in folders):
        return list(enumerate(folders))
    numbered = sorted((int(path.name), path) for path in folders)
    for (one, first), (other, second) in itertools.pairwise(numbered):
        if one == other:
            raise InputError(f"class folders {first.name} and {second.name} are one number")
    return numbered

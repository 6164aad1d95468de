"""Pictures in a folder, or in one subfolder a class.

Where the network's classes have names, a subfolder is the class that it is named as; a number is
the place of its class. Where nothing names them, labels are the places of the subfolders in sorted
order; and again, where every name is a whole number, the label is that number ("10" comes before
"2" only among words). Deeper folders, hidden files, other files, and links that lead out of the
folder are left alone, counted and said.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from simam_deploy.core.labels import match_names
from simam_deploy.errors import InputError
from simam_deploy.source.samples.inputs import Sample
from simam_deploy.source.samples.pictures import FORMATS, decode, require_pillow, turned_notes
from simam_deploy.source.samples.preparation import Preparation
from simam_deploy.source.samples.sifting import Sieve

_SHOWN = 3


class PictureFolder:
    """The pictures of a folder, with labels if they lie in subfolders.

    Args:
        root: The folder.
        prepare: Makes an input of a picture.
        names: The network's classes, if they are known.

    Raises:
        InputError: There is no picture, some lie beside folders of others, a folder is named as no
            class, nobody said how to prepare a picture, or Pillow is missing.
    """

    def __init__(
        self, root: Path, prepare: Preparation | None, names: Sequence[str] | None = None
    ) -> None:
        require_pillow()
        if prepare is None:
            raise InputError(
                f"{root.name}: nothing says how a picture becomes an input of this network; say "
                "it, or give an .npz of float arrays as the network takes them",
                options=("preprocess",),
            )
        self._root = root.resolve()
        self._prepare = prepare
        self._sieve = Sieve()
        self._turned: set[int] = set()
        loose, folders = self._look(self._root)
        within = {folder: self._pictures_in(folder) for folder in folders}
        self._check(loose, within)
        self.labelled = not loose
        classes, self.by_place = ([], False) if loose else _numbered(within, names)
        self.classes = _class_names(classes, names) if self.labelled else None
        self._files = [(file, 0) for file in loose] or [
            (file, label) for label, folder in classes for file in within[folder]
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and of what was read so far, how many pictures were turned."""
        return (*self._sieve.notes(), *turned_notes(len(self._turned), len(self)))

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self._files)

    def read(self, chosen: Sequence[int]) -> Iterator[Sample]:
        """Yield the chosen pictures, prepared."""
        for index in chosen:
            file, label = self._files[index]
            name = str(file.relative_to(self._root))
            picture, turned = decode(file, name)
            if turned:
                self._turned.add(index)
            size = self._prepare.extent((picture.height, picture.width))
            yield Sample(name, self._prepare(picture), label, size)

    def _look(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """List the pictures and the folders directly in a folder, by name."""
        shown = (p for p in sorted(folder.iterdir()) if not self._sieve.is_hidden(p.name))
        paths = [p for p in shown if self._inside(p)]
        pictures = [p for p in paths if p.is_file() and self._sieve.is_picture(p.name)]
        return pictures, [p for p in paths if p.is_dir()]

    def _pictures_in(self, folder: Path) -> list[Path]:
        pictures, deeper = self._look(folder)
        self._sieve.deeper += len(deeper)
        return pictures

    def _inside(self, path: Path) -> bool:
        """Tell whether a link, if it is one, stays within the folder."""
        inside = not path.is_symlink() or path.resolve().is_relative_to(self._root)
        self._sieve.outside += not inside
        return inside

    def _check(self, loose: Sequence[Path], within: Mapping[Path, Sequence[Path]]) -> None:
        """Refuse a folder that holds no pictures, or two kinds of them."""
        held = [folder.name for folder, pictures in within.items() if pictures]
        if loose and held:
            raise InputError(
                f"{self._root} holds {len(loose)} pictures beside {len(held)} folders of pictures "
                f"({_listed(held)}): put them into the folders of their classes, or take one or "
                "the other away"
            )
        if not loose and not held:
            left_out = "".join(f"; {note}" for note in self._sieve.notes())
            raise InputError(
                f"{self._root} holds no picture ({', '.join(sorted(FORMATS))}), nor do its "
                f"subfolders{left_out}"
            )


def _numbered(
    within: Mapping[Path, Sequence[Path]], known: Sequence[str] | None
) -> tuple[list[tuple[int, Path]], bool]:
    """Give class folders in the order of their labels, and whether it is their own and no more.

    One without pictures has its place in that order, and where the classes have names no meaning.
    """
    folders = [folder for folder, pictures in within.items() if pictures or not known]
    places, by_place = _places([folder.name for folder in folders], known)
    numbered = sorted((places[folder.name], folder) for folder in folders)
    _check_distinct(numbered)
    return numbered, by_place


def _places(said: Sequence[str], known: Sequence[str] | None) -> tuple[dict[str, int], bool]:
    """Give the label of every class folder, and whether their order is all that says it.

    Raises:
        InputError: The classes have names, and folders are named otherwise.
    """
    numbers = _numbers(said)
    if not known:
        by_order = {name: place for place, name in enumerate(said)}
        return numbers or by_order, bool(said) and not numbers
    places = match_names(said, known)
    unknown = [name for name in said if name not in places]
    if not unknown:
        return places, False
    if numbers and max(numbers.values()) < len(known):
        return numbers, False
    raise InputError(
        f"{len(unknown)} of {len(said)} class folders are named as no class of the network "
        f"({_listed(unknown)}; its classes: {_listed(known)}): name them as it does, or by their "
        "places from 0"
    )


def _numbers(names: Sequence[str]) -> dict[str, int]:
    """Read whole numbers; none where any is none."""
    are_numbers = all(name.isascii() and name.isdigit() for name in names)
    return {name: int(name) for name in names} if are_numbers else {}


def _class_names(
    classes: Sequence[tuple[int, Path]], known: Sequence[str] | None
) -> tuple[str, ...]:
    """Name the classes by label: as the network does, else as the folders."""
    return tuple(known) if known else tuple(folder.name for _, folder in classes)


def _check_distinct(folders: Sequence[tuple[int, Path]]) -> None:
    for (one, first), (other, second) in itertools.pairwise(folders):
        if one == other:
            kind = "number" if first.name.isdigit() else "class"
            raise InputError(f"class folders {first.name} and {second.name} are one {kind}")


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _SHOWN else ""
    return ", ".join(f"{name:.40}" for name in names[:_SHOWN]) + more

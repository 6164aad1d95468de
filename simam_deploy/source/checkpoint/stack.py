"""What stands for a pickle's values while it is walked, and not run."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple


class Global(NamedTuple):
    """A class or function that the pickle names, as "module name"."""

    name: str


class Storage(NamedTuple):
    """A storage that the pickle asks for."""

    nbytes: int
    itemsize: int


class Tensor:
    """A tensor that passed."""


class Container:
    """A dict, a set or an object with attributes: its contents are only counted.

    Attributes:
        size: Its items.
        hashes: How many of its keys that are neither text nor numbers of 64 bits have each hash.
        hides: Whether a key is the name of a dict's method, which as an attribute would hide it.
    """

    __slots__ = ("hashes", "hides", "size")

    def __init__(self, size: int = 0, *, hides: bool = False) -> None:
        self.size = size
        self.hashes: Counter[int] | None = None
        self.hides = hides


class Namespace(Container):
    """An argparse.Namespace, which has no methods."""


class Inert(Container):
    """An object of a class that is not known here: it is read, and does nothing."""

    def extend(self, _: object) -> None:
        """What a list of its own kind takes is not kept."""

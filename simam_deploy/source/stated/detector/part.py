"""A part of a configuration, read by name: values of their kind, or one clear line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simam_deploy.errors import InputError
from simam_deploy.source.stated.fields import held
from simam_deploy.source.stated.places import where
from simam_deploy.source.stated.python_text import Literals
from simam_deploy.source.stated.record import Said

MOST_NUMBERS = 16
"""Of a list: a pyramid has five levels, a coder four numbers."""
_GREATEST = 2**63
_UNREAD = object()
_LONGEST = 40
"""Characters of a stranger's text that are shown."""


@dataclass(frozen=True)
class Part:
    """A part of a configuration; what is None in it counts as not said, as it does there.

    Attributes:
        values: What it holds by name.
        path: Where it stands, as "meta.config.model.".
    """

    values: Mapping[Any, object]
    path: str

    def get(self, name: str) -> Any:
        """Give a value, None where nothing is said; pairs and the like as lists.

        What stands in a text and is no literal, as 10**30 or f(), is a value that nothing takes.
        """
        value = self.values.get(name)
        if isinstance(self.values, Literals) and name in self.values.unread:
            return _UNREAD
        return list(value) if isinstance(value, tuple) else value

    def place(self, name: str) -> str:
        """Word the place of a value."""
        return where(f"{self.path}{name}")

    def wrong(self, name: str, wanted: str) -> InputError:
        """Make the error of a value that cannot be used."""
        return InputError(f"{name} is {worded(self.get(name))}, {self.place(name)}: {wanted}")

    def part(self, name: str) -> Part:
        """Give a part of this one; an empty one where nothing is said.

        Raises:
            InputError: Something else stands there.
        """
        value = self.get(name)
        if value is not None and not isinstance(value, (Mapping, argparse.Namespace)):
            raise self.wrong(name, "wanted one dict")
        return Part(held(value).values, f"{self.path}{name}.")

    def kind(self, name: str = "type") -> str | None:
        """Give the name of a class without its scope, as "FPN" of "mmdet.FPN".

        Raises:
            InputError: It is no text.
        """
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(name, "wanted a name")
        return value.rpartition(".")[2] if isinstance(value, str) else None

    def number(self, name: str) -> Said | None:
        """Read a number.

        Raises:
            InputError: It is none, or not finite.
        """
        value = self.get(name)
        if value is None:
            return None
        if not is_number(value):
            raise self.wrong(name, "wanted a number")
        return Said(float(value), self.place(name))

    def whole(self, name: str) -> Said | None:
        """Read a whole number, of two that are the same one; errors as `number`."""
        value = self.get(name)
        if isinstance(value, list) and len(value) == 2:
            value = value[0] if same_numbers(value[:1], value[1:]) else value
        if value is None:
            return None
        if not is_number(value) or value % 1:
            raise self.wrong(name, "wanted a whole number")
        return Said(int(value), self.place(name))

    def numbers(self, name: str) -> Said | None:
        """Read a few numbers; errors as `number`."""
        value = self.get(name)
        if value is None:
            return None
        fits = isinstance(value, list) and 0 < len(value) <= MOST_NUMBERS
        if not fits or not all(map(is_number, value)):
            raise self.wrong(name, f"wanted a list of 1 to {MOST_NUMBERS} numbers")
        return Said(tuple(map(float, value)), self.place(name))

    def switch(self, name: str) -> Said | None:
        """Read True or False.

        Raises:
            InputError: It is neither.
        """
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "wanted True or False")
        return None if value is None else Said(value, self.place(name))


def agreed(said: Sequence[Said | None]) -> Said | None:
    """Give what is said under several names, or in several places; None where it is nowhere.

    Raises:
        InputError: Two of them differ.
    """
    first = next((one for one in said if one), None)
    for other in said:
        if first and other and other.value != first.value:
            raise InputError(
                f"{worded(first.value)}, {first.where}, and {worded(other.value)}, {other.where}, "
                "must be the same here"
            )
    return first


def is_number(value: object) -> bool:
    """Tell a finite number that 64 bits hold: a text of one is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < _GREATEST


def same_numbers(value: Sequence[object], other: Sequence[object]) -> bool:
    """Tell whether two lists are of the same numbers."""
    return all(map(is_number, (*value, *other))) and list(value) == list(other)


def worded(value: object) -> str:
    """Word a value that a stranger may have written, in some 60 characters."""
    if value is _UNREAD:
        return "no literal"
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < _GREATEST else "an integer beyond 64 bits"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return f"{value[:_LONGEST]!r}"
    if isinstance(value, (list, tuple)) and len(value) <= MOST_NUMBERS:
        short = ", ".join(worded(one) if not _holds(one) else "..." for one in value[:5])
        return f"[{short}{', ...' if value[5:] else ''}]"
    return "a dict" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def _holds(value: object) -> bool:
    return isinstance(value, (list, tuple, Mapping))

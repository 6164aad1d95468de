"""What a value holds by name, whatever it is: a dict, a namespace, an object, a text, flags."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, TypeGuard

from simam_deploy.source.stated.python_text import Literals
from simam_deploy.source.stated.text import read_flags, read_text

MOST_VALUES = 100_000
"""Looked at within one value, each as often as it is met: shared ones could make 2^n of n."""
DEEPEST = 24
"""Values within values: a detector's modules are 8 deep, two values each; a configuration has 8."""
_LONGEST = 100
"""Characters of a key that are shown; the authors' folders have 80."""


class Held(NamedTuple):
    """A value that holds others by name.

    Attributes:
        path: The path to what it holds: "" or as "model.backbone.".
        values: What it holds.
        maker: The class of the object that it was; "" of a plain dict.
    """

    path: str
    values: Mapping[Any, object]
    maker: str = ""

    def get(self, name: str) -> object:
        """Give what it holds by a name; None where it does not."""
        return _unwrapped(self.values.get(name))


def held(value: object, path: str = "") -> Held:
    """Give what a value holds by name; nothing where it is no such value.

    An object that was read without its code is a dict of what it stored, of a class that bears the
    object's class's `name`. OmegaConf keeps its items in `_content`.
    """
    value = _unwrapped(value)
    kind = type(value)
    maker = "" if kind in (dict, Literals) else str(getattr(kind, "name", kind.__name__))
    if isinstance(value, str):
        value = read_text(value)
    if _are_words(value):
        value = read_flags(value)
    if isinstance(value, argparse.Namespace):
        value = vars(value)
    if isinstance(value, Mapping) and isinstance(value.get("_content"), Mapping):
        value = value["_content"]
    return Held(path, value, maker) if isinstance(value, Mapping) else Held(path, {})


def _are_words(value: object) -> TypeGuard[list[str]]:
    """Tell a command line that was saved as Python has it, sys.argv."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        return False
    return any(word.startswith("--") for word in value)


def follow(value: object, *names: str) -> object:
    """Give what lies at a path of names, none of them within a text; None where nothing does."""
    for name in names:
        value = None if isinstance(value, str) else held(value).get(name)
    return value


def everything_in(value: object, path: str) -> Iterator[Held]:
    """Yield what holds others by name, from a value down: at most `MOST_VALUES` are looked at."""
    return (found for found in islice(_walk(value, path, 0), MOST_VALUES) if found.values)


def printable(key: object) -> str:
    """Word a key or a name that a stranger may have written."""
    text = str(key) if isinstance(key, (str, int)) else "?"
    return "".join(char if char.isprintable() else "?" for char in text[:_LONGEST])


def _walk(value: object, path: str, depth: int) -> Iterator[Held]:
    """Yield once for every value that is looked at, so that looking can be bounded."""
    if depth and isinstance(value, str):
        yield Held(path, {})
        return
    found = held(value, path)
    yield found
    if depth < DEEPEST:
        for inner, item in _items(value, found):
            yield from _walk(item, inner, depth + 1)


def _items(value: object, found: Held) -> Iterator[tuple[str, object]]:
    """Give what a value holds, with the path to it."""
    if isinstance(value, (list, tuple)):
        yield from ((found.path, item) for item in value)
    for key, item in found.values.items():
        # A network holds its parts in `_modules`: their names alone make up its keys.
        yield (found.path if key == "_modules" else f"{found.path}{printable(key)}."), item


def _unwrapped(value: object) -> object:
    """Give what OmegaConf's node of one value holds; any other value is itself."""
    return value["_val"] if isinstance(value, Mapping) and "_val" in value else value

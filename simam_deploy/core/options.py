"""Options as records: how a field is said on a command line, told once, beside the field.

A record is a frozen dataclass whose fields are all made by `option`. That one description makes
the parser (`cli.options`), and `words` says a record as the parser reads it: neither can forget a
field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from simam_deploy.core.specs import shape_text

_SIZE = re.compile(r"[0-9]{1,9}")
_FREE_SIZES = {"-1", "0", "?", "n", "batch", "h", "height", "w", "width", "t", "frames"}
"""Words for a size that is left free; any name would make one of a slip like 1x3x2z4."""
_KEY = "option"


@dataclass(frozen=True)
class Form:
    """How a value stands in one word of a command line.

    Attributes:
        read: Reads the word; its ValueError says what is wrong with it.
        write: Writes the word; `read` undoes it.
    """

    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


@dataclass(frozen=True)
class Option:
    """How a field is said.

    Attributes:
        help: What it means.
        form: How its value stands in a word; a field of True or False has none.
        said: Its name without the dashes, where that is not the field's.
        short: A second flag, of one letter.
        metavar: What stands for the value in the help.
        choices: The words that it takes.
        several: Whether it may be given more than once; the field is then a tuple.
        both: Whether what is on by default can be asked for as well as switched off.
    """

    help: str
    form: Form
    said: str | None
    short: str | None
    metavar: str | None
    choices: Sequence[str] | None
    several: bool
    both: bool


def read_shape(text: str) -> tuple[int, ...]:
    """Read `1x3x224x224`, or the same with commas.

    Raises:
        ValueError: It is no shape.
    """
    sizes = text.lower().replace(",", "x").split("x")
    if not all(map(_SIZE.fullmatch, sizes)) or not all(map(int, sizes)):
        raise ValueError(f"not a shape like 1x3x224x224: {text!r}")
    return tuple(map(int, sizes))


def read_open_shape(text: str) -> tuple[int, ...]:
    """Read a shape of which sizes may be left free, as `batchx3x-1x-1`; each becomes -1.

    Raises:
        ValueError: It is no shape.
    """
    words = text.lower().replace(",", "x").split("x")
    if not all(word in _FREE_SIZES or _SIZE.fullmatch(word) for word in words):
        raise ValueError(
            f"not a shape like 1x3x224x224, nor one like -1x3x-1x-1 with sizes left free: {text!r}"
        )
    return tuple(-1 if word in _FREE_SIZES else int(word) for word in words)


def read_positive(text: str) -> int:
    """Read a whole number above 0.

    Raises:
        ValueError: It is none.
    """
    if not _SIZE.fullmatch(text) or int(text) == 0:
        raise ValueError(f"not a whole number above 0: {text!r}")
    return int(text)


def read_number(text: str) -> float:
    """Read a number.

    Raises:
        ValueError: It is none.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"not a number: {text!r}") from None


TEXT = Form(str)
FILE = Form(Path)
NUMBER = Form(read_number, repr)
POSITIVE = Form(read_positive)
OPEN_SHAPE = Form(read_open_shape, shape_text)
NAMES = Form(lambda text: tuple(text.split(",")), ",".join)


def option(
    default: Any,
    help: str,
    form: Form = TEXT,
    *,
    said: str | None = None,
    short: str | None = None,
    metavar: str | None = None,
    choices: Sequence[str] | None = None,
    several: bool = False,
    both: bool = False,
) -> Any:
    """Make a dataclass's field an option; see `Option`."""
    described = Option(help, form, said, short, metavar, choices, several, both)
    return field(default=default, metadata={_KEY: described})


def options_of(record: Any) -> Iterator[tuple[Field[Any], Option]]:
    """List the fields of a record, or of its class, and how each is said.

    Raises:
        KeyError: A field is no option.
    """
    return ((each, each.metadata[_KEY]) for each in fields(record))


def flag_of(each: Field[Any], described: Option) -> str:
    """Give the flag; of what is on by default, the one that switches it off."""
    said = described.said or each.name.replace("_", "-")
    return f"--no-{said}" if each.default is True else f"--{said}"


def words(record: Any) -> list[str]:
    """Say a record as a command line does; what has its default is left out."""
    return [
        word
        for each, described in options_of(record)
        for word in _words(getattr(record, each.name), each, described)
    ]


def _words(value: Any, each: Field[Any], described: Option) -> Iterator[str]:
    if value == each.default:
        return
    flag = flag_of(each, described)
    if isinstance(each.default, bool):
        yield flag
        return
    for part in value if described.several else (value,):
        text = described.form.write(part)
        # A word that begins with a dash would be taken for a flag.
        yield from (f"{flag}={text}",) if text.startswith("-") else (flag, text)

"""What the command lines share: options made of records, and the small types of the others."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import Field
from typing import Any, TypeVar

from simam_deploy.core.options import (
    Option,
    flag_of,
    options_of,
    read_number,
    read_positive,
    read_shape,
)
from simam_deploy.engine.options import EngineOptions
from simam_deploy.errors import SimamError
from simam_deploy.pipeline.options import ComparisonOptions, ExplainOptions, OnnxOptions
from simam_deploy.source.options import NetworkOptions, SampleOptions

RECORDS = (NetworkOptions, SampleOptions, OnnxOptions, EngineOptions, ComparisonOptions)
"""Those that are public, and that several commands share."""
_FLAGS = {
    each.name: flag_of(each, said)
    for record in (*RECORDS, ExplainOptions)
    for each, said in options_of(record)
}

Record = TypeVar("Record")
Parser = argparse.ArgumentParser | argparse._ArgumentGroup


def add_options(parser: Parser, record: type, *names: str) -> None:
    """Give a parser the options of a record, or those named.

    Args:
        parser: The parser, or a group of it.
        record: The record's class.
        names: Of fields.
    """
    for each, described in options_of(record):
        if not names or each.name in names:
            _add(parser, each, described)


def _add(parser: Parser, each: Field[Any], described: Option) -> None:
    flag = flag_of(each, described)
    about: dict[str, Any] = {"dest": each.name, "help": described.help}
    if described.both:
        switch = argparse.BooleanOptionalAction
        parser.add_argument(flag.replace("--no-", "--"), action=switch, default=True, **about)
        return
    if isinstance(each.default, bool):
        action = "store_false" if each.default else "store_true"
        parser.add_argument(flag, action=action, **about)
        return
    flags = (flag,) if described.short is None else (described.short, flag)
    parser.add_argument(
        *flags,
        type=argument(described.form.read),
        action="append" if described.several else "store",
        default=[] if described.several else each.default,
        metavar=described.metavar,
        choices=described.choices,
        **about,
    )


def read_options(record: type[Record], args: argparse.Namespace) -> Record:
    """Make a record of what was parsed; what the command does not ask for has its default."""
    given: dict[str, Any] = {}
    for each, described in options_of(record):
        if hasattr(args, each.name):
            value = getattr(args, each.name)
            given[each.name] = tuple(value) if described.several else value
    return record(**given)


def argument(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Make an argument's type of a function whose ValueError says what is wrong."""

    def parse(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


shape = argument(read_shape)
positive = argument(read_positive)


@argument
def count(text: str) -> int:
    """Read a whole number, 0 or more."""
    return int(text) if text.strip("0") == "" and text else read_positive(text)


@argument
def port(text: str) -> int:
    """Read a port; 0 stands for any."""
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65535:
        raise ValueError(f"not a port: {text!r}")
    return int(text)


@argument
def seconds(text: str) -> float:
    """Read a time of a day at most."""
    number = read_number(text)
    if not 0 <= number <= 86400:
        raise ValueError(f"not seconds from 0 to 86400: {text!r}")
    return number


def worded(error: SimamError, parser: Parser | None = None) -> str:
    """Give an error's message on one line, with the flags of the options that it is about.

    Args:
        error: The error.
        parser: Whose flags are named; by default any command's.
    """
    line = " ".join(str(error).split())
    flags = [_FLAGS.get(name, f"--{name.replace('_', '-')}") for name in error.options]
    if parser is not None:
        flags = [flag for flag in flags if flag in parser._option_string_actions]
    return f"{line} ({', '.join(flags)})" if flags else line

"""The `simam` command: its subcommands are modules, imported when they are called."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from simam_deploy.cli.commands import ASKED, COMMANDS
from simam_deploy.cli.streams import printing
from simam_deploy.core.version import __version__
from simam_deploy.report.terminal import WIDEST, columns

_HEAD = """usage: simam COMMAND [OPTION ...]

From a trained SimAM network to a verified ONNX file.

commands (each is also a program of its own, `simam-COMMAND`):"""
_FOOT = """
`simam COMMAND --help` says more.

Exit codes: 0 done, 1 the input cannot be used or the output not be printed, 2 usage, \
3 validation failed, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the result is the process's exit code."""
    if ASKED in os.environ:
        return _complete()
    args = list(sys.argv[1:] if argv is None else argv)
    if args[:1] == ["help"] and len(args) == 2:
        args = [args[1], "--help"]
    if args and args[0] in COMMANDS:
        return int(_module(args[0]).main(args[1:]))
    with printing() as ended:
        return ended(_main(args))


def _module(command: str) -> Any:
    return importlib.import_module(f"simam_deploy.cli.{command}")


def _complete() -> int:
    from simam_deploy.cli.tab import complete_command, next_word

    command = next_word(tuple(COMMANDS))
    if command is not None:
        return int(_module(command).main([]))
    complete_command()
    return 0


def _main(args: Sequence[str]) -> int:
    if args == ["--version"]:
        print(f"simam-deploy {__version__}")
        return 0
    if not args or args[0] in ("-h", "--help") or args == ["help"]:
        print(_help())
        return 0
    # As Python writes it: whatever the word holds, it does not steer a terminal.
    import difflib  # 3 ms, for those alone who mistyped

    word = args[1] if args[0] == "help" else args[0]
    near = difflib.get_close_matches(word, COMMANDS, 1)
    ways_on = f"did you mean {near[0]}?" if near else f"there is {', '.join(COMMANDS)}"
    print(f"simam: error: no command {word!a}; {ways_on}", file=sys.stderr)
    return 2


def _help() -> str:
    width = min(columns(), WIDEST) - 2
    listing = [
        textwrap.fill(about, width, initial_indent=f"  {name:12}", subsequent_indent=" " * 14)
        for name, about in COMMANDS.items()
    ]
    return "\n".join([*_filled(_HEAD, width), *listing, *_filled(_FOOT, width)])


def _filled(text: str, width: int) -> list[str]:
    return [part for line in text.split("\n") for part in textwrap.wrap(line, width) or [""]]

"""Write docs/options.md, every option of every command, from what `--help` is made of.

    python scripts/docs_options.py

`tests/docs/test_options.py` fails where the page is another than this writes.
"""

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from simam_deploy.cli import COMMANDS
from simam_deploy.cli.process import with_version

PAGE = Path(__file__).parent.parent / "docs" / "options.md"
_BESIDE = {"bench": ("bench ops", "bench attention")}
"""Commands within a command."""
_HEAD = """# Options

Every option of every command, as `--help` has them. [Commands](commands.md) says what they are for.
"""


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Give the parser of each command by what is typed after `simam`."""
    names = [word for name in COMMANDS for word in (name, *_BESIDE.get(name, ()))]
    return {name: with_version(_module(name).parser()) for name in names}


def _module(name: str):
    return importlib.import_module(f"simam_deploy.cli.{name.replace(' ', '_')}")


def page() -> str:
    """Write the page."""
    return "\n".join([_HEAD, *(_section(name, each) for name, each in parsers().items())])


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    lines = [f"## simam-{name}", "", f"{parser.description}"]
    for group in parser._action_groups:
        if shown := list(_rows(group)):
            lines += ["", f"| {_title(group)} | |", "|---|---|", *shown]
    return "\n".join([*lines, ""])


def _title(group: argparse._ArgumentGroup) -> str:
    return _told(
        {"positional arguments": "what it takes"}.get(group.title or "", group.title or "")
    )


def _rows(group: argparse._ArgumentGroup) -> Iterator[str]:
    """Give a row for each argument of a group."""
    formatter = argparse.HelpFormatter("")
    for action in group._group_actions:
        said = formatter._expand_help(action) if action.help else ""
        yield f"| `{_cell(_typed(action))}` | {_told(said)} |"


def _typed(action: argparse.Action) -> str:
    """Write what is typed: every Python's argparse lays this out in another way."""
    known = ", ".join(map(str, action.choices)) if action.choices else ""
    metavar = action.metavar or (f"{{{known}}}" if known else action.dest.upper())
    if not action.option_strings:
        return str(action.metavar or action.dest)
    flags = ", ".join(action.option_strings)
    return flags if action.nargs == 0 else f"{flags} {metavar}"


def _cell(text: str) -> str:
    """Keep what would end a cell; such a `|` is one in code too."""
    return " ".join(text.split()).replace("|", r"\|")


def _told(text: str) -> str:
    """Write a help as Markdown: it makes no HTML, emphasis or cell; options are code."""
    plain = re.sub(r"([*_<>\\\[\]])", r"\\\1", _cell(text).replace(r"\|", "\0"))
    return re.sub(r"(?<![\w-])--[a-z][\w-]*", r"`\g<0>`", plain).replace("\0", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""How the commands' own texts stand on a terminal: short usage, prose that fits, no colours."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable
from typing import Any

from simam_deploy.report.terminal import WIDEST, columns, is_narrow

_INDENT = "    "
_LABEL = re.compile(r" *\S+(?: \S+)*  +(?=\S)")


class HelpText(argparse.HelpFormatter):
    """A help text: prose is wrapped, what is indented stays as it is, choices have room.

    The usage names what must be there and no option more: a mistyped word is answered with the
    usage too, and those of all options are 25 lines.
    """

    def __init__(self, prog: str, **about: Any) -> None:
        width = min(columns(), WIDEST) - 2
        # Beyond a third of the line, options would leave no room for what they are.
        super().__init__(prog, width=width, max_help_position=min(24, width // 3), **about)

    def start_section(self, heading: str | None) -> None:
        """Begin a group of options."""
        super().start_section(heading and textwrap.fill(heading, self._width))

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[Any],
        prefix: str | None = None,
    ) -> None:
        """Add the usage line."""
        options = argparse.Action([], "options", nargs="*", metavar="OPTION")
        needed = [each for each in actions if each.required or not each.option_strings]
        super().add_usage(usage, [options, *needed], [], prefix)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in _wrapped(text, width))

    def _format_action_invocation(self, action: argparse.Action) -> str:
        whole = super()._format_action_invocation(action)
        if not self._lists_below(action):
            return whole
        return f"{', '.join(action.option_strings)} {action.dest.upper()}".strip()

    def _expand_help(self, action: argparse.Action) -> str:
        text = super()._expand_help(action)
        if self._lists_below(action):
            return f"{', '.join(map(str, action.choices or ()))}: {text}"
        return text

    def _lists_below(self, action: argparse.Action) -> bool:
        """Tell whether the choices have no room beside the option, and stand in its help."""
        listed = len(super()._format_action_invocation(action))
        return action.choices is not None and listed + 2 > self._width


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap paragraphs by themselves; an indented line is a command, and can be copied."""
    lines: list[str] = []
    prose: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line and not line.startswith(" ") and not line.endswith(":"):
            prose.append(line)
            continue
        lines += textwrap.wrap(" ".join(prose), width)
        prose = []
        lines += _command(line, width)
    return lines[:-1]


def _command(line: str, width: int) -> list[str]:
    """Break a command as a shell reads it; what is said of it goes above."""
    if len(line) <= width:
        return [line]
    command, marked, comment = line.partition("  #")
    said = textwrap.wrap(comment.strip(), width, initial_indent="  # ", subsequent_indent="  # ")
    parts = textwrap.wrap(
        command, width - 2, subsequent_indent=_INDENT,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [*(said if marked else ()), *(f"{part} \\" for part in parts[:-1]), parts[-1]]


def fitted(text: str) -> str:
    """Wrap a summary's lines to the terminal, what is behind a label below its beginning."""
    if not is_narrow():
        return text
    return "\n".join(part for line in text.split("\n") for part in _folded(line, columns()))


def _folded(line: str, width: int) -> list[str]:
    if len(line) <= width or len(line.split()) < 2:  # a hash is not broken
        return [line]
    label = _LABEL.match(line)
    indent = label.end() if label and label.end() <= width // 2 else len(line) - len(line.lstrip())
    return textwrap.wrap(
        line, width, subsequent_indent=" " * min(indent or len(_INDENT), width // 2),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip

"""What a shell is answered that asks, at a press of Tab, how a line could go on (argcomplete)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from simam_deploy.cli.commands import ASKED, COMMANDS
from simam_deploy.core.files import PLANS, SOURCES

_MODELS = (*SOURCES, *PLANS)
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm")
_FILES = {
    "source": SOURCES,
    "reference": SOURCES,
    "candidate": (".onnx", *PLANS),
    "models": _MODELS,
    "files": (*_MODELS, ".json"),
    "picture": _PICTURES,
    "image": _PICTURES,
    "labels": (".txt",),
}
"""How files are named that an argument takes; others complete whatever lies there."""


def next_word(words: Sequence[str]) -> str | None:
    """Give the word behind the program's name in the line that a shell wants completed.

    Args:
        words: Known ones: where it is one, and is typed to its end, what follows is completed as
            the line of a program of its own.
    """
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    skipped = int(os.environ[ASKED])
    typed = line.split()
    if len(typed) <= skipped or typed[skipped] not in words or line.endswith(typed[skipped]):
        return None
    os.environ[ASKED] = str(skipped + 1)
    return typed[skipped]


def complete_command() -> None:
    """Complete the name of a command, which is not typed to its end; the process ends."""
    p = argparse.ArgumentParser(prog="simam")
    p.add_argument("--version", action="store_true")
    p.add_argument("command", choices=(*COMMANDS, "help"))
    complete(p)


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what a parser takes; the process ends."""
    import argcomplete
    from argcomplete.completers import FilesCompleter

    for action in parser._actions:
        if action.dest in _FILES and action.choices is None:
            endings = [ending.lstrip(".") for ending in _FILES[action.dest]]
            setattr(action, "completer", FilesCompleter(endings))  # noqa: B010 - argcomplete's way
    argcomplete.autocomplete(parser)
    sys.exit(0)

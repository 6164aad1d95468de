"""`simam completion`: what a shell is told to complete the commands by.

The options are asked of the parsers when Tab is pressed (argcomplete), so nothing is listed twice,
and a script that was installed once stays true.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from simam_deploy.cli.process import ASKED, run
from simam_deploy.core.files import PLANS, SOURCES

_EPILOG = """turn it on, once:
  simam completion bash >> ~/.bashrc
  simam completion zsh >> ~/.zshrc  # behind the line with compinit
  simam completion fish > ~/.config/fish/completions/simam.fish

Then open a new shell: Tab completes commands, options, their choices and files.
Exit codes: 0 printed, 1 it cannot be printed, 2 usage."""

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


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-completion",
        description="Print a script by which a shell completes simam's commands with Tab.",
        epilog=_EPILOG,
    )
    p.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell is yours")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    return run(parser(), lambda args: _print(args.shell), argv)


def _print(shell: str) -> None:
    from argcomplete.shell_integration import shellcode

    from simam_deploy.cli import COMMANDS

    print(shellcode(["simam", *(f"simam-{name}" for name in COMMANDS)], shell=shell))


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


def complete_command(commands: dict[str, str]) -> None:
    """Complete the name of a command, which is not typed to its end; the process ends."""
    p = argparse.ArgumentParser(prog="simam")
    p.add_argument("--version", action="store_true")
    p.add_argument("command", choices=(*commands, "help"))
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

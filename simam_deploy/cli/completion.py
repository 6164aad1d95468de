"""`simam completion`: what a shell is told to complete the commands by.

The options are asked of the parsers when Tab is pressed (argcomplete), so nothing is listed twice,
and a script that was installed once stays true.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from simam_deploy.cli.commands import COMMANDS
from simam_deploy.cli.process import run

_EPILOG = """turn it on, once:
  simam completion bash >> ~/.bashrc
  simam completion zsh >> ~/.zshrc  # behind the line with compinit
  simam completion fish > ~/.config/fish/completions/simam.fish

Then open a new shell: Tab completes commands, options, their choices and files.
Exit codes: 0 printed, 1 it cannot be printed, 2 usage."""


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

    print(shellcode(["simam", *(f"simam-{name}" for name in COMMANDS)], shell=shell))

"""What a README shows: its blocks, and the commands in them, run as they stand there."""

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simam_deploy.cli import main as simam

_MEASURED = ("validated", "gates", "layers", "power", "time", "worst", "loss")
"""What begins a line of figures that differ between two runs or two machines."""


@dataclass(frozen=True)
class Shown:
    """A command, and the lines that stand under it; "..." stands for some that were left out."""

    command: str
    printed: tuple[str, ...]

    def check(self, printed: str) -> None:
        """Hold what the command printed against what is shown: the same lines in the same order."""
        found = iter([_lasting(line) for line in printed.splitlines()])
        for line in self.printed:
            assert line == "..." or _lasting(line) in found, f"{line!r} is not in:\n{printed}"


def _lasting(line: str) -> str:
    """Leave out the figures that a machine changes, and percentages."""
    measured = line.strip().startswith(_MEASURED)
    return re.sub(r"\S*\d\S*" if measured else r"\d\S*%", "#", line)


def blocks(readme: Path, language: str) -> list[str]:
    """Give the texts of the fenced blocks of a language."""
    text = readme.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def shown(readme: Path) -> list[Shown]:
    """Take the commands off the console blocks, with what is printed under each."""
    parts = [re.split(r"^\$ ", b, flags=re.MULTILINE)[1:] for b in blocks(readme, "console")]
    lines = [part.replace("\\\n", " ").splitlines() for block in parts for part in block]
    return [Shown(command, tuple(printed)) for command, *printed in lines]


def here(command: str) -> str:
    """Run a command in this process, where torch is loaded already; gives what it printed."""
    program, *arguments = shlex.split(command, comments=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if program == "python":
            _script(arguments)
        else:
            assert simam([program.removeprefix("simam-"), *arguments]) == 0
    return printed.getvalue()


def _script(arguments: Sequence[str]) -> None:
    """Run a file as Python would; neither its modules nor its warnings outlive it."""
    before = set(sys.modules)
    with _arguments(arguments), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(Path(arguments[0]).absolute()), run_name="__main__")
    for name in sys.modules.keys() - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == Path.cwd():
            del sys.modules[name]


@contextlib.contextmanager
def _arguments(arguments: Sequence[str]) -> Iterator[None]:
    kept = sys.argv, sys.path
    sys.argv, sys.path = list(arguments), [str(Path.cwd()), *sys.path]
    try:
        yield
    finally:
        sys.argv, sys.path = kept


def in_a_shell(command: str) -> str:
    """Run a command as a process of its own, by a shell; gives what it printed."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

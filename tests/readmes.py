"""What a document shows: its fenced blocks, and the commands in them, run as they stand there."""

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from simam_deploy.cli import main as simam

_MEASURED = ("validated", "gates", "layers", "power", "time", "worst", "loss")
"""What begins a line of figures that differ between two runs or two machines."""
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S[^>]*?) -->")
_FOR_A_SHELL = re.compile(r"[|<>&]")


@dataclass(frozen=True)
class Shown:
    """A command, and the lines that stand under it; "..." stands for any that were left out."""

    command: str
    printed: tuple[str, ...]

    def check(self, printed: str) -> None:
        """Hold what the command printed against what is shown: all of it, or nothing."""
        shown = "".join(r"(?:.*\n)*" if line == "..." else _pattern(line) for line in self.printed)
        found = "".join(f"{_lasting(line)}\n" for line in printed.splitlines())
        same = not shown or re.fullmatch(shown, found)
        assert same, f"{self.printed} is not what was printed:\n{found}"


@dataclass(frozen=True)
class Fence:
    """A fenced block: its language, its text, its first line's number, and why it is not run."""

    language: str
    text: str
    line: int
    not_run: str | None = None

    @property
    def commands(self) -> list[Shown]:
        """The commands of a console's block."""
        if self.language != "console":
            return []
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]
        lines = [part.replace("\\\n", " ").splitlines() for part in parts]
        return [Shown(command, tuple(printed)) for command, *printed in lines]


def _pattern(line: str) -> str:
    return re.escape(f"{_lasting(line)}\n")


def _lasting(line: str) -> str:
    """Leave out the figures that a machine changes, and percentages."""
    measured = line.strip().startswith(_MEASURED)
    return re.sub(r"\S*\d\S*" if measured else r"\d\S*%", "#", line)


def parsed(text: str) -> Sequence[Token]:
    """Parse a document as GitHub does; what is escaped in it stays a token of its own."""
    return MarkdownIt("gfm-like", {"linkify": False}).disable("text_join").parse(text)


def fences(document: Path) -> list[Fence]:
    """Give the fenced blocks of a document; a comment before one may say why it is not run."""
    found, reason = [], None
    for token in parsed(document.read_text("utf-8")):
        if token.type == "fence":
            found.append(Fence(token.info.strip(), token.content, token.map[0] + 1, reason))
        said = _NOT_RUN.search(token.content) if token.type == "html_block" else None
        reason = said and said["reason"]
    return found


def shown(document: Path) -> list[Shown]:
    """Take the commands off the console blocks, with what is printed under each."""
    return [step for fence in fences(document) if not fence.not_run for step in fence.commands]


def played(command: str) -> str:
    """Run a command: here where it is ours alone, else by a shell; gives what it printed."""
    ours = command.startswith(("simam", "python "))
    bare = shlex.join(shlex.split(command, comments=True)) if ours else command
    return here(command) if ours and not _FOR_A_SHELL.search(bare) else in_a_shell(command)


def here(command: str) -> str:
    """Run a command in this process, where torch is loaded already; gives what it printed."""
    program, *arguments = shlex.split(command, comments=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if program == "python":
            _script(arguments)
        else:
            assert simam([program.removeprefix("simam-"), *arguments]) == 0, command
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


@dataclass
class Played:
    """Steps that are played one after another; a server stands where it was last started.

    Args:
        launch: Starts a process that the test's end ends, as `tests/conftest.py` has it.
        run: Runs a command, and gives what it printed.
    """

    launch: Callable[..., subprocess.Popen[str]]
    run: Callable[[str], str]
    http: str = "nobody-listens-yet"
    grpc: str = "nobody-listens-yet"

    def step(self, step: Shown) -> None:
        """Play a step, and hold what it prints against what is shown."""
        serves = step.command.startswith("simam-serve ")
        run = self._serve if serves else lambda command: self.run(self.directed(command))
        step.check(run(step.command))

    def directed(self, text: str) -> str:
        """Have a command, or a program, ask the server that is there."""
        for port, address in ((8000, self.http), (8001, self.grpc)):
            text = re.sub(rf"\b(localhost|127\.0\.0\.1):{port}\b", address, text)
        return text

    def _serve(self, command: str) -> str:
        """Start a server on any free ports; gives what it says until it is ready."""
        _, *arguments = shlex.split(command, comments=True)
        ports = ["--http-port", "0", "--grpc-port", "0"]
        serve = [sys.executable, "-m", "simam_deploy", "serve", *arguments, *ports]
        server, said = self.launch(serve), ""
        for line in server.stderr:
            said += line
            if "ready: " in line:
                found = re.findall(r"(HTTP|gRPC) on (\S+)", said)
                at = {kind: urlsplit(url).netloc or url for kind, url in found}
                self.http, self.grpc = at["HTTP"], at["gRPC"]
                return said
        raise AssertionError(said)

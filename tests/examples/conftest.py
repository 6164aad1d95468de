"""An example as its reader has it: a folder of its own, beside the digits."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.marks import slow
from tests.readmes import Shown, here, in_a_shell, shown

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
Play = Callable[[Iterable[Shown]], None]


@pytest.fixture(params=[here, *slow([in_a_shell])])
def play(request, launch) -> Play:
    """Run steps where we are, and hold what each prints against what is shown under it."""

    def run(steps: Iterable[Shown]) -> None:
        address = "nobody listens yet"
        for step in steps:
            if step.command.startswith("simam-serve "):
                address = _served(step.command, launch)
            else:
                step.check(request.param(step.command.replace("localhost:8000", address)))

    return run


def _served(command: str, launch) -> str:
    """Start a server on any free port instead of its own; gives the address once it is ready."""
    _, *arguments = shlex.split(command, comments=True)
    ports = ["--http-port", "0", "--no-grpc"]
    server = launch([sys.executable, "-m", "simam_deploy", "serve", *arguments, *ports])
    said = ""
    for line in server.stderr:
        said += line
        if "ready: " in line:
            return re.search(r"HTTP on http://(\S+)", said)[1]
    raise AssertionError(said)


@pytest.fixture
def open_example(tmp_path, monkeypatch) -> Callable[[str], list[Shown]]:
    """Copy an example, go there, and give the steps of its README."""

    def begin(name: str) -> list[Shown]:
        for shared in EXAMPLES.glob("digits*"):
            (tmp_path / shared.name).symlink_to(shared)
        folder = shutil.copytree(EXAMPLES / name, tmp_path / name)
        monkeypatch.chdir(folder)
        return shown(folder / "README.md")

    return begin

"""An example as its reader has it: a folder of its own, beside the digits."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.marks import slow
from tests.readmes import Played, Shown, here, in_a_shell, shown

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
Play = Callable[[Iterable[Shown]], None]


@pytest.fixture(params=[here, *slow([in_a_shell])])
def play(request, launch) -> Play:
    """Run steps where we are, and hold what each prints against what is shown under it."""

    def run(steps: Iterable[Shown]) -> None:
        played = Played(launch, request.param)
        for step in steps:
            played.step(step)

    return run


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

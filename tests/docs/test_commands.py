"""Every command and program of the documents that needs no GPU runs, in a fresh folder a page."""

from pathlib import Path

import pytest

from tests.docs.given import GIVEN
from tests.readmes import Fence, Played, fences, played

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
RUN = [page for page in PAGES if any(not f.not_run for f in fences(page) if f.language in ("console", "python"))]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_a_page_does_what_it_shows(page, tmp_path, monkeypatch, launch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    for make in GIVEN.get(page.stem, ()):
        make(tmp_path)
    play(page, Played(launch, played))


def play(page: Path, steps: Played) -> None:
    """Play a page's blocks in their order; its programs share their names."""
    names: dict[str, object] = {"__name__": "__main__"}
    for fence in fences(page):
        if not fence.not_run:
            _play(fence, f"{page.name}:{fence.line}", steps, names)


def _play(fence: Fence, where: str, steps: Played, names: dict[str, object]) -> None:
    for step in fence.commands:
        try:
            steps.step(step)
        except Exception as error:
            raise AssertionError(f"{where}: {step.command}") from error
    if fence.language == "python":
        exec(compile(steps.directed(fence.text), where, "exec"), names)

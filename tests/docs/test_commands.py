"""Every command and program of the documents that needs no GPU runs, in a fresh folder a page."""

import re
from pathlib import Path

import pytest

from tests.docs.given import GIVEN
from tests.marks import slow_but
from tests.readmes import Fence, Played, fences, played

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
RUNNING = ("console", "python")
RUN = [page for page in PAGES if any(f.language in RUNNING and not f.not_run for f in fences(page))]
SLOW = ("detectors", "engines")
"""Of more than a minute: a Mask R-CNN is trained, engines are built. CI runs them too."""
QUICK = [page for page in RUN if page.stem not in SLOW]


@pytest.mark.parametrize("page", slow_but(QUICK, RUN), ids=lambda page: page.stem)
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


BROKEN = {
    "it fails": (
        "```console\n$ simam-inspect none.onnx\n```\n",
        "page.md:1: simam-inspect none.onnx",
    ),
    "it prints something else": ("```console\n$ echo one\ntwo\n```\n", "page.md:1: echo one"),
    "a program fails": ("```python\n1 / 0\n```\n", "division by zero"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_does_not_do_as_it_shows_is_found(fault, tmp_path, monkeypatch, launch):
    text, says = BROKEN[fault]
    page = tmp_path / "page.md"
    page.write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, ZeroDivisionError), match=says):
        play(page, Played(launch, played))


def test_extras_that_are_installed_are_there():
    """Every `sh` block installs; what it names in brackets is an extra."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    table = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^([\w-]+) = ", table, re.MULTILINE))
    for page in PAGES:
        for named in re.findall(r"(?:simam-deploy|\.)\[([\w,-]+)\]", page.read_text("utf-8")):
            assert {*named.split(",")} <= extras, f"{page.name}: [{named}]"

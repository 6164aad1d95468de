"""Every command and program of the documents that needs no GPU runs, in a fresh folder a page."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.documents import DOCUMENTS, ROOT
from tests.docs.given import GIVEN
from tests.marks import slow_but
from tests.readmes import Fence, Played, fences, played, shown

RUNNING = ("console", "python")
EXAMPLES = [document for document in DOCUMENTS if document.is_relative_to(ROOT / "examples")]
"""They are played by tests/examples."""
RUN = [
    page
    for page in DOCUMENTS
    if page not in EXAMPLES
    and any(fence.language in RUNNING and not fence.not_run for fence in fences(page))
]
SLOW = ("benchmarks", "detectors", "engines")
"""Half a minute to two: models take turns, a Mask R-CNN is trained, engines are built. CI runs them
too, and without them the pages take two and a half minutes of a core."""
QUICK = [page for page in RUN if page.stem not in SLOW]
NOT_RUN = [(page, fence) for page in DOCUMENTS for fence in fences(page) if fence.not_run]


def name(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix()


def missing(page: Path) -> list[str]:
    """Name what a page uses and this machine has not: curl, or TensorRT, which is for Linux."""
    programs = {step.command.split()[0] for step in shown(page)}
    strange = (each for each in programs if not each.startswith(("simam", "python")))
    others = {each for each in strange if not shutil.which(each)}
    builds = "simam-build" in programs and not find_spec("tensorrt_rtx")
    return sorted(others | ({"tensorrt_rtx"} if builds else set()))


@pytest.mark.parametrize("page", slow_but(QUICK, RUN), ids=name)
def test_a_page_does_what_it_shows(page, tmp_path, monkeypatch, launch):
    if lacking := missing(page):
        pytest.skip(f"no {' and no '.join(lacking)}, which the page uses")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    for make in GIVEN.get(page.stem, ()):
        make(tmp_path)
    play(page, Played(launch, played))


@pytest.mark.parametrize(
    ("page", "fence"), NOT_RUN, ids=[f"{name(page)}-{fence.line}" for page, fence in NOT_RUN]
)
def test_what_is_not_run_says_why(page, fence):
    """pytest prints the reasons, and how often each holds."""
    assert fence.language in (*RUNNING, "sh")
    pytest.skip(fence.not_run)


@pytest.mark.parametrize("page", EXAMPLES, ids=name)
def test_an_example_is_played_whole(page):
    """In its own test, which opens it by name where it shows commands."""
    test = (ROOT / "tests" / "examples" / f"test_{page.parent.name}.py").read_text("utf-8")
    assert not shown(page) or f'open_example("{page.parent.name}")' in test
    assert not [fence for fence in fences(page) if fence.language == "python"]


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


def strange_installations(page: Path) -> list[str]:
    """Give what stands in `sh` blocks and installs nothing, and extras that there are none of."""
    lines = [
        line
        for fence in fences(page)
        if fence.language == "sh" and not fence.not_run
        for line in fence.text.splitlines()
    ]
    named = re.findall(r"(?:simam-deploy|\.)\[([\w,-]+)\]", page.read_text("utf-8"))
    extras = [extra for each in named for extra in each.split(",")]
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    table = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    known = re.findall(r"^([\w-]+) = ", table, re.MULTILINE)
    return [
        *(line for line in lines if not line.startswith("pip install ")),
        *(extra for extra in extras if extra not in known),
    ]


@pytest.mark.parametrize("page", DOCUMENTS, ids=name)
def test_what_is_installed_is_there(page):
    assert strange_installations(page) == []


def test_what_is_not_there_to_install_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\npip install '.[cpu]'\nRAY=1\n```\n\n`simam-deploy[cpu,servo]`\n")
    assert strange_installations(page) == ["RAY=1", "servo"]

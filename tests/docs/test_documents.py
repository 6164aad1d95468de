"""The documents: what is rendered of them, where their links lead, and what finds faults."""

import re
import shutil

import pytest

from tests.docs.documents import DOCUMENTS, ROOT, dead_links, on_the_site
from tests.docs.rendering import complaints, wrong
from tests.readmes import Fence, Played, Shown, fences, shown

PAGE = ROOT / "docs" / "export.md"
TABLE = """model.onnx
  lambda       0.1 (given)
  validated    3 cases: worst difference 1.1e-06 (allowed 6e-06)
  input        float32 1 x 3
"""
NOT_PAGES = (
    "docs/index.md",
    "scripts/bench/predictions.md",
    "plugins/simam/onnxruntime/package/README.md",
)
"""The index itself, what is written before a benchmark, and what a package says of itself."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_document_is_rendered_as_it_was_meant(document):
    assert complaints(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    """To files that are there, and headings that they have."""
    assert dead_links(document) == []


def test_the_site_has_every_page():
    assert {p.relative_to(ROOT).as_posix() for p in {*DOCUMENTS} - on_the_site()} == {*NOT_PAGES}


PLANTED = {
    "a closing fence is missing": (
        (
            "$ simam-export model.pth --format onnx\n```\n",
            "$ simam-export model.pth --format onnx\n",
        ),
        "prose stands in a fence",
    ),
    "the last closing fence is missing": (
        (re.compile(r"```\n\n(?!.*```).*", re.DOTALL), ""),
        "a fence is not closed",
    ),
    "an opening fence is missing": (
        (
            "```console\n$ simam-export model.pth --format onnx\n",
            "$ simam-export model.pth --format onnx\n",
        ),
        "a fence of no known language: ''",
    ),
    "a formula in words": (
        ("## What it prints", "n = H*W - 1 is told from H*W\n\n## What it prints"),
        "eaten as emphasis: HW - 1 is told from HW",
    ),
    "a name with underlines": (
        ("## What it prints", "see __init__ for it\n\n## What it prints"),
        "eaten as emphasis",
    ),
    "a placeholder": (
        ("## What it prints", "give <file> to it\n\n## What it prints"),
        "eaten as HTML: '<file>'",
    ),
    "a table without its second line": (
        ("## What it prints", "| a | b |\n| 1 | 2 |\n\n## What it prints"),
        "left as text: '| a |'",
    ),
    "a row with a cell more": (
        ("## What it prints", "| a | b |\n|---|---|\n| `x|y` | 2 |\n\n## What it prints"),
        "row 2 of a table has 3 cells, its head 2",
    ),
    "a heading twice": (("## Most used", "## What it prints"), "2 headings are called"),
    "a reason left out": (
        (
            "```console\n$ simam-export model.pth --format onnx\n",
            "<!-- not run: -->\n```console\n$ simam-export model.pth --format onnx\n",
        ),
        "not run, and no reason why",
    ),
    "a program that is none": (
        ("artifact = export_onnx(", "artifact = export_onnx(("),
        "this is no Python",
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault):
    (old, new), says = PLANTED[fault]
    text = PAGE.read_text("utf-8")
    planted = (
        old.sub(new, text, count=1) if isinstance(old, re.Pattern) else text.replace(old, new, 1)
    )
    assert planted != text
    assert any(says in what for _, what in wrong(planted)), [*wrong(planted)]


def test_what_is_no_fault_is_left_alone():
    assert not [
        *wrong("*Allowed* is 2 H*W, `a*b*c`, **NOT** <!--figure t :: a--> 3<!--/-->\n\n(*so*)\n")
    ]


@pytest.mark.parametrize(
    ("old", "new", "dead"),
    [
        (
            "(networks.md#what-a-file-says)",
            "(networks.md#what-it-says)",
            "networks.md#what-it-says",
        ),
        ("(engines.md)", "(engine.md)", "engine.md"),
    ],
)
def test_a_dead_link_is_found(old, new, dead, tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("pictures"))
    page = tmp_path / "docs" / "export.md"
    assert dead_links(page) == []
    page.write_text(page.read_text("utf-8").replace(old, new))
    assert dead_links(page) == [f"export.md: {dead}"]


def test_fences_are_read_with_their_commands_and_reasons(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Words.\n\n```console\n$ first --long \\\n    option\none\n$ second\n```\n\n"
        "<!-- not run: needs a GPU -->\n```console\n$ third\n```\n"
    )
    one, other = fences(page)
    assert one.commands == [Shown("first --long      option", ("one",)), Shown("second", ())]
    assert other == Fence("console", "$ third\n", 11, "needs a GPU")
    assert shown(page) == one.commands


@pytest.mark.parametrize(
    "lines",
    [
        ["model.onnx", "...", "  input        float32 1 x 3"],
        [
            "  lambda       0.1 (given)",
            "  validated    4 cases: worst difference 2e-07 (allowed 5e-06)",
        ],
    ],
)
def test_what_was_printed_passes(lines):
    Shown("", tuple(lines)).check(TABLE)


@pytest.mark.parametrize(
    "lines",
    [
        ["  lambda       0.0001 (given)"],
        ["  NOT PROVED   3 cases: worst difference 1.1e-06 (allowed 6e-06)"],
        ["  input        float32 1 x 4"],
        ["  input        float32 1 x 3", "model.onnx"],
        ["model.onnx", "model.onnx"],
    ],
)
def test_what_was_not_is_refused(lines):
    with pytest.raises(AssertionError, match="is not in"):
        Shown("", tuple(lines)).check(TABLE)


def test_a_command_asks_the_server_that_is_there(launch):
    steps = Played(launch, str, http="127.0.0.1:1234", grpc="127.0.0.1:99")
    assert steps.directed("curl localhost:8000/v2 && x grpc://127.0.0.1:8001") == (
        "curl 127.0.0.1:1234/v2 && x grpc://127.0.0.1:99"
    )

"""The documents: what is rendered of them, where their links lead, and what finds faults."""

import re
import shutil

import pytest

from tests.docs.documents import (
    DOCUMENTS,
    ROOT,
    anchors,
    dead_links,
    missing_files,
    on_the_site,
)
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
    "plugins/simam/tensorrt/package/README.md",
)
"""The index itself, what is written before a benchmark, and what packages say of themselves."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_document_is_rendered_as_it_was_meant(document):
    assert complaints(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    """To files that are there, and headings that they have."""
    assert dead_links(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_are_spoken_of_are_there(document):
    assert missing_files(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_fence_can_be_left_out(document):
    """Without any one of the lines that open and close its blocks, a document is complained of."""
    lines = document.read_text("utf-8").split("\n")
    for number, line in enumerate(lines):
        if line.lstrip().startswith("```"):
            assert [*wrong("\n".join(lines[:number] + lines[number + 1 :]))], number + 1


def test_the_site_has_every_page():
    assert {p.relative_to(ROOT).as_posix() for p in {*DOCUMENTS} - on_the_site()} == {*NOT_PAGES}


FENCE = "```console\n$ simam-export model.pth --format onnx\n```\n"
PLANTED = {
    "a closing fence is missing": ((FENCE, FENCE[:-4]), "prose stands in a fence"),
    "the last closing fence is missing": (
        (re.compile(r"```\n\n(?!.*```).*", re.DOTALL), ""),
        "a fence is not closed",
    ),
    "an opening fence is missing": ((FENCE, FENCE[11:]), "a fence of no known language: ''"),
    "a command's sign is missing": ((FENCE, FENCE.replace("$ ", "")), "does not begin with a comm"),
    "a block is indented": ((FENCE, "    simam-export model.pth\n"), "in an indented block"),
    "a command is in the text": ((FENCE, "$ simam-export model.pth\n"), "left as text: '$'"),
    "a command is in the text, without its sign": (
        (FENCE, "simam-export model.pth\n"),
        "left as text: 'simam-export model.pth'",
    ),
    "an option is in the text": (("`--lambda`;", "--lambda;"), "left as text: '--lambda'"),
    "a formula in words": (
        (FENCE, "n = H*W - 1 is told from H*W\n"),
        "eaten as emphasis: HW - 1 is told from HW",
    ),
    "a name with underlines": ((FENCE, "see __init__ for it\n"), "eaten as emphasis"),
    "stars in words": ((FENCE, "*.onnx and *.pth\n"), "left as text: '*'"),
    "an underline in words": ((FENCE, "it is state_ there\n"), "left as text: '_'"),
    "a placeholder": ((FENCE, "give <file> to it\n"), "eaten as HTML: '<file>'"),
    "a figure that begins a line": (
        (FENCE, "it is\n<!--figure t :: a :: b :: .0f-->7<!--/--> of `n`\n"),
        "eaten as HTML: '7of `n`'",
    ),
    "a link with a space": (("](engines.md)", "] (engines.md)"), "left as text: '] ('"),
    "a link without an end": (("](engines.md)", "](engines.md"), "left as text: ']('"),
    "a picture without words": ((FENCE, "![](pictures/looks.webp)\n"), "a picture without words"),
    "a table without its second line": (
        (FENCE, "| a | b |\n| 1 | 2 |\n"),
        "left as text: '| a | b |'",
    ),
    "a table within a list": ((FENCE, "- so\n  | a | b |\n  | 1 | 2 |\n"), "left as text"),
    "a table that goes on in a list": (
        (FENCE, "- so\n| a | b |\n|---|---|\n| 1 | 2 |\n"),
        "left as text",
    ),
    "a row with a cell more": (
        (FENCE, "| a | b |\n|---|---|\n| `x|y` | 2 |\n"),
        "row 2 of a table has 3 cells, its head 2",
    ),
    "a row with a cell less": (
        (FENCE, "| a | b |\n|---|---|\n| 1 |\n"),
        "row 2 of a table has 1 cells, its head 2",
    ),
    "a heading twice": (("## Most used", "## What it prints"), "2 headings are called"),
    "a second title": (("## Most used", "# Most used"), "a page begins with its one title"),
    "a level left out": (("## Most used", "#### Most used"), "is of level 4, under one of 2"),
    "a reason left out": ((FENCE, f"<!-- not run: -->\n{FENCE}"), "not run, and no reason why"),
    "a mark misspelt": ((FENCE, f"<!-- not-run: a GPU -->\n{FENCE}"), "in other words than"),
    "a mark of nothing": ((FENCE, "<!-- not run: a GPU -->\nso\n"), "and no fence below it"),
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
        *wrong(
            "# So\n\n*Allowed* is 2 H\\*W, `a*b*c`, **NOT** <!--figure t-->3<!--/-->\n\n(*so*)\n\n"
            "- an item:\n\n  | a | b |\n  |---|---|\n  | `x\\|y` | well-known -- |\n"
        )
    ]


@pytest.mark.parametrize(
    ("old", "new", "dead"),
    [
        ("networks.md#what-a-file-says", "networks.md#what-it-says", "networks.md#what-it-says"),
        ("(engines.md)", "(engine.md)", "engine.md"),
        ("(engines.md)", "(/docs/engines.md)", "/docs/engines.md"),
        ("(engines.md)", "(https:engines.md)", "https:engines.md"),
        (FENCE, "![so](pictures/none.webp)\n", "pictures/none.webp"),
    ],
)
def test_a_dead_link_is_found(old, new, dead, tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("pictures"))
    page = tmp_path / "docs" / "export.md"
    assert dead_links(page) == []
    page.write_text(page.read_text("utf-8").replace(old, new))
    assert dead_links(page) == [f"export.md: {dead}"]


def test_headings_are_named_as_links_name_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# `simam.*`, *two*\n\n```sh\n# no heading\n```\n\n## A_b: 1 <!--a-->\n\n#### Deep\n"
    )
    assert anchors(page) == {"simam-two", "a_b-1-"}


def test_a_file_that_is_not_there_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`tests/docs/NAME.py`, `scripts/chek`, `scripts/bench/*.csv`\n\n"
        "<!-- not run: tests/docs, tests/cli/test_*s.py and tests/doks do -->\n```sh\n```\n"
    )
    assert missing_files(page) == ["scripts/bench/*.csv", "scripts/chek", "tests/doks"]


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
        [],
        ["model.onnx", "...", "  input        float32 1 x 3"],
        [
            "...",
            "  lambda       0.1 (given)",
            "  validated    4 cases: worst difference 2e-07 (allowed 5e-06)",
            "...",
        ],
    ],
)
def test_what_was_printed_passes(lines):
    Shown("", tuple(lines)).check(TABLE)


@pytest.mark.parametrize(
    "lines",
    [
        ["...", "  lambda       0.0001 (given)", "..."],
        ["...", "  NOT PROVED   3 cases: worst difference 1.1e-06 (allowed 6e-06)", "..."],
        ["...", "  input        float32 1 x 4"],
        ["...", "  input        float32 1 x 3", "model.onnx"],
        ["model.onnx", "...", "model.onnx", "..."],
        ["model.onnx", "  input        float32 1 x 3"],
        ["model.onnx", "  lambda       0.1 (given)"],
        ["  lambda       0.1 (given)", "..."],
    ],
)
def test_what_was_not_is_refused(lines):
    with pytest.raises(AssertionError, match="is not what was printed"):
        Shown("", tuple(lines)).check(TABLE)


def test_a_command_asks_the_server_that_is_there(launch):
    steps = Played(launch, str, http="127.0.0.1:1234", grpc="127.0.0.1:99")
    assert steps.directed("curl localhost:8000/v2 && x grpc://127.0.0.1:8001") == (
        "curl 127.0.0.1:1234/v2 && x grpc://127.0.0.1:99"
    )

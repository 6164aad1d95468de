"""Options: what `--help` has stands in the documents, and what stands there `--help` has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import docs_options
from tests.docs.documents import DOCUMENTS, ROOT
from tests.readmes import fences

PARSERS = docs_options.parsers()
KNOWN = {flag for parser in PARSERS.values() for flag in parser._option_string_actions}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OTHERS = {
    "scripts/build_plugin": (
        "--tensorrt-include",
        "--onnxruntime-include",
        "--no-cuda",
        "--target",
    ),
    "scripts/build_operators_wheel": ("--onnxruntime-include", "--target"),
    "scripts/bench/figures.py": ("--check",),
    "examples/mask_rcnn/detect.py": ("--server",),
    "scripts/bench/gpu_all.py": (
        "--list",
        "--minutes",
        "--dry-run",
        "--pack",
        "--python",
        "--unpack",
    ),
}
"""Options of what is no command, by the file that takes them."""
STRANGERS = ("--backend-config", "--strict")
"""Of Triton and mypy."""


def mentioned(document: Path) -> Iterator[str]:
    """Give the options that a document's words and code speak of; fences are asked one by one."""
    text = re.sub(
        r"^ *```.*?^ *```", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    text = re.sub(r"<!--.*?-->|^ {4}.*?$|`trtexec.*?`", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from OPTION.findall(text)


def strange(document: Path) -> list[str]:
    """Give the options that nothing takes."""
    taken = {*KNOWN, *STRANGERS, *(flag for flags in OTHERS.values() for flag in flags)}
    return sorted({*mentioned(document)} - taken)


def refused(document: Path) -> Iterator[str]:
    """Give the options of a document's commands that these do not take, whether run or not."""
    for fence in fences(document):
        for step in fence.commands:
            program, *words = shlex.split(step.command, comments=True)
            name = " ".join([program.removeprefix("simam-"), *words[:1]])
            parser = PARSERS.get(name) or PARSERS.get(name.split()[0])
            if program.startswith("simam-") and parser:
                given = {word.partition("=")[0] for word in words if word.startswith("--")}
                yield from sorted(given - {*parser._option_string_actions})


def test_the_page_is_what_help_says():
    """`python scripts/docs_options.py` writes it."""
    assert docs_options.PAGE.read_text("utf-8") == docs_options.page()


def test_an_option_that_is_not_documented_is_found():
    PARSERS["doctor"].add_argument("--planted", help="a fault")
    assert "--planted" in docs_options._section("doctor", PARSERS["doctor"])
    assert "--planted" not in docs_options.PAGE.read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_documented_is_there(document):
    assert strange(document) == []
    assert [*refused(document)] == []


@pytest.mark.parametrize("file", OTHERS)
def test_what_is_no_command_takes_what_is_said(file):
    text = (ROOT / file).read_text("utf-8")
    assert [flag for flag in OTHERS[file] if flag not in text] == []


def test_an_option_that_is_not_there_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("`--lowring` does\n\n```console\n$ simam-export m.pth --presision fp16\n```\n")
    assert strange(page) == ["--lowring"]
    assert [*refused(page)] == ["--presision"]

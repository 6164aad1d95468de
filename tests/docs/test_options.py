"""Options: what `--help` has stands in the documents, and what stands there `--help` has."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

import docs_options
from tests.docs.documents import DOCUMENTS, ROOT, codes
from tests.readmes import fences

PARSERS = docs_options.parsers()
KNOWN = {flag for parser in PARSERS.values() for flag in parser._option_string_actions}
OPTION = re.compile(r"(?<![\w-])--[a-zA-Z][\w-]*")
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
STRANGERS = (
    "--backend-config",
    "--build-arg",
    "--gpus",
    "--health-cmd",
    "--strict",
    "--stronglyTyped",
)
"""Of Triton, Docker, mypy and trtexec."""


def strange(document: Path) -> list[str]:
    """Give the options that nothing takes."""
    taken = {*KNOWN, *STRANGERS, *(flag for flags in OTHERS.values() for flag in flags)}
    return sorted({flag for code in codes(document) for flag in OPTION.findall(code)} - taken)


def refused(document: Path) -> list[str]:
    """Give the options of a document's commands that these do not take, whether run or not."""
    shown = [step.command for fence in fences(document) for step in fence.commands]
    return [flag for command in (*shown, *codes(document)) for flag in _refused(command)]


def _refused(command: str) -> list[str]:
    """Give the options that one of our commands does not take."""
    if not command.startswith(("simam-", "simam ")):
        return []
    program, *words = shlex.split(command.removeprefix("simam").lstrip("- "), comments=True)
    if program == "help":  # prints another's, and takes no option
        program, *words = words
    parser = PARSERS.get(" ".join([program, *words[:1]])) or PARSERS.get(program)
    if parser is None:  # simam-deploy is no command, and its packages are none
        return [] if program.startswith("deploy") else [f"simam-{program}"]
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    return sorted(given - {*parser._option_string_actions})


def test_the_page_is_what_help_says():
    """`python scripts/docs_options.py` writes it."""
    assert docs_options.PAGE.read_text("utf-8") == docs_options.page()


def test_an_option_that_is_not_documented_is_found():
    parser = docs_options.parsers()["doctor"]
    parser.add_argument("--planted", help="a fault")
    assert "--planted" in docs_options._section("doctor", parser)
    assert "--planted" not in docs_options.PAGE.read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_documented_is_there(document):
    assert strange(document) == []
    assert refused(document) == []


def test_no_option_is_hidden():
    every = [action for parser in PARSERS.values() for action in parser._actions]
    assert [action.dest for action in every if action.help in (None, argparse.SUPPRESS)] == []


@pytest.mark.parametrize("file", OTHERS)
def test_what_is_no_command_takes_what_is_said(file):
    text = (ROOT / file).read_text("utf-8")
    assert [flag for flag in OTHERS[file] if flag not in text] == []


def test_an_option_that_is_not_there_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`--lowring` does, `simam-build --data D` not, nor `simam-exprt`\n\n"
        "```console\n$ simam-export m.pth --presision=fp16\n$ simam bench ops --batch 1\n```\n"
    )
    assert strange(page) == ["--lowring"]
    assert refused(page) == ["--presision", "--batch", "--data", "simam-exprt"]

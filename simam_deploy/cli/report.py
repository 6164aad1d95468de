"""`simam report`: one artifact as one HTML page."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simam_deploy.cli.options import add_options, read_options
from simam_deploy.cli.process import Steps, return_freed_memory, run
from simam_deploy.core.files import PLANS
from simam_deploy.core.progress import Progress
from simam_deploy.errors import UsageError
from simam_deploy.source.options import NetworkOptions

if TYPE_CHECKING:
    from simam_deploy.pipeline.report import Files, Found

_EPILOG = """examples:
  simam-report model.html                            # about model.onnx, which lies beside
  simam-report out.html model.onnx model.pth         # held against its checkpoint once more
  simam-report out.html model.onnx --image photo.jpg --preprocess imagenet
  simam-report out.html model.onnx model-fp16.onnx model.engine bench.json

One file that needs nothing else: the network drawn with its SimAM sites, the gates of each in
every precision, errors against their bounds and what those would have shown of a fault, speed from
a report of `simam-bench --json`, attention maps over a picture, the manifest. Other precisions and
engines of the same source that lie beside the artifact are taken in by themselves.
Exit codes: 0 done, 1 a file cannot be used, 2 usage, 3 it cannot be run, 130 interrupted."""

_SAID = ("arch", "model", "e_lambda", "input_shape", "inputs", "preprocess", "trust_pickle",
         "allow_none")  # fmt: skip
"""Of the network; what is free is the artifact's."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-report",
        description="Show an ONNX file, or an engine, with all that is known of it, on one page.",
        epilog=_EPILOG,
    )
    p.add_argument("output", type=Path, metavar="OUT.html", help="the page to write")
    p.add_argument(
        "files", nargs="*", type=Path, metavar="FILE",
        help="the .onnx (the first of several is what the page is about), other precisions of it, "
        "engines, a .json of simam-bench, the checkpoint (default: the .onnx or engine that is "
        "named as the page is)",
    )  # fmt: skip
    p.add_argument("--image", type=Path, metavar="PICTURE", help="show where it looks in this one")
    network = p.add_argument_group("the network, as simam-export takes it")
    add_options(network, NetworkOptions, *_SAID)
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    return run(parser(), lambda args: _report(args, argv), argv)


def _report(args: argparse.Namespace, words: Sequence[str] | None) -> None:
    return_freed_memory()
    from simam_deploy.pipeline.report import sort_files

    files = sort_files(args.files or [_named_as(args.output)], args.image)
    network = read_options(NetworkOptions, args)
    command = typed("simam-report", words)
    write_report(args.output, files, network, command=command, progress=Steps(args.quiet))
    print(args.output)


def typed(program: str, argv: Sequence[str] | None) -> str:
    """Say a command as it was typed, but for the folders of files: those are private."""
    words = sys.argv[1:] if argv is None else argv
    return shlex.join([program, *(_without_folder(word) for word in words)])


def _without_folder(word: str) -> str:
    """Take the folder off a file's name, also behind a flag as in --image=a/b.jpg."""
    flag, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return f"{flag}{equals}{value.rpartition(os.sep)[2] or value}"


def add_report(parser: argparse.ArgumentParser) -> None:
    """Give a parser the option that has a page written of what a command made."""
    parser.add_argument(
        "--report", type=Path, metavar="FILE.html",
        help="show what was made with all that is known of it on one page, as simam-report does",
    )  # fmt: skip


def _named_as(page: Path) -> Path:
    """Find the artifact that is named as a page is.

    Raises:
        UsageError: There is none.
    """
    candidates = [page.with_suffix(suffix) for suffix in (".onnx", *PLANS)]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise UsageError(f"there is no {candidates[0]}: name the .onnx or engine to report on")
    return found


def check_page(page: Path) -> None:
    """Refuse, before any work, what is no place for a page.

    Raises:
        InputError: Matplotlib is missing, or somebody else's file lies there.
        UsageError: It is not named .html.
    """
    from simam_deploy.core.staging import check_target
    from simam_deploy.report.page.plots import require_matplotlib

    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"a report must be named .html, got {page}")
    check_target(page)
    require_matplotlib()


def write_report(
    page: Path,
    files: Files,
    network: NetworkOptions,
    found: Found | None = None,
    *,
    command: str,
    progress: Progress,
) -> None:
    """Gather what there is to say, and write the page.

    Args:
        page: To write.
        files: What it is about.
        network: What is said of that.
        found: What is known already.
        command: Makes the page again.
        progress: Told each step.

    Raises:
        InputError: As `gather`, or the page cannot be written.
        UsageError: As `gather`, or the page is not named .html.
        ValidationError: As `gather`.
    """
    from simam_deploy.core.staging import explained, publish, staging_folder
    from simam_deploy.pipeline.report import gather
    from simam_deploy.report.page.page import page as make

    check_page(page)
    with staging_folder(page) as stage:
        with contextlib.redirect_stdout(sys.stderr):  # libraries that print
            gathered = gather(files, network, found, command=command, progress=progress)
            progress("drawing the page")
            text = make(gathered)
        with explained(page):
            (stage / page.name).write_text(text, encoding="utf-8")
            publish(stage, page)

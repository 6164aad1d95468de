"""`simam inspect`: what SimAM is in an ONNX file, and what could be better."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from simam_deploy.cli.process import exit_code

_EPILOG = """examples:
  simam-inspect model.onnx
  simam-inspect model.onnx --json | jq '.sites[].e_lambda'

A site is listed only if it is proved to be SimAM, by its structure and its numbers. What is nearly
SimAM stands under the near misses, with the first thing that differs.
Exit codes: 0 done, 1 the file cannot be used, 2 usage, 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-inspect",
        description="Show the SimAM sites of an ONNX file, its facts, and what could be better.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("model", help=".onnx file, opset 11 or newer; nothing in it is run")
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: _inspect(Path(args.model), args.json))


def _inspect(path: Path, as_json: bool) -> None:
    from simam_deploy.inspection import inspect_onnx
    from simam_deploy.report.inspect_text import inspect_table

    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        report = inspect_onnx(path)
    print(json.dumps(report.to_json(), indent=2) if as_json else inspect_table(report))

"""`simam inspect`: what SimAM is in an ONNX file, and what could be better."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence

from simam_deploy.cli.help import fitted
from simam_deploy.cli.options import add_options, read_options
from simam_deploy.cli.process import run
from simam_deploy.errors import ValidationError
from simam_deploy.source.options import NetworkOptions, SampleOptions

_LIMIT = 64

_EPILOG = """examples:
  simam-inspect model.onnx
  simam-inspect model.onnx --precision fp16 --data pictures/
  simam-inspect model.onnx --json | jq '.sites[].e_lambda'

A site is listed only if it is proved to be SimAM, by its structure and its numbers. What is nearly
SimAM stands under the near misses, with the first thing that differs.
Exit codes: 0 done, 1 the file cannot be used, 2 usage, 3 a site overflows, 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-inspect",
        description="Show the SimAM sites of an ONNX file, its facts, and what could be better.",
        epilog=_EPILOG,
    )
    p.add_argument("model", help=".onnx file, opset 11 or newer; not run without --data")
    p.add_argument(
        "--precision", choices=["fp16", "bf16"],
        help="audit the range that each SimAM needs of this type; exit code 3 if one overflows",
    )  # fmt: skip
    group = p.add_argument_group("samples to measure on", f"with --precision; {_LIMIT} at most")
    add_options(group, SampleOptions)
    add_options(group, NetworkOptions, "preprocess")
    p.set_defaults(limit=_LIMIT)
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    return run(parser(), _inspect, argv)


def _inspect(args: argparse.Namespace) -> None:
    from simam_deploy.pipeline.inspect import inspect_onnx
    from simam_deploy.report.inspect_text import inspect_table

    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        samples = read_options(SampleOptions, args)
        report = inspect_onnx(args.model, args.precision, samples, args.preprocess)
    print(json.dumps(report.to_json(), indent=2) if args.json else fitted(inspect_table(report)))
    broken = [finding for finding in report.ranges if finding.level == "error"]
    if broken:
        raise ValidationError(
            f"{len(broken)} of {len(report.ranges)} SimAM sites overflow in {args.precision}, "
            f"{broken[0].name} first: export the float32 original with --precision {args.precision}"
        )

"""`simam validate`: one model held against another."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simam_deploy.cli.help import fitted
from simam_deploy.cli.options import add_options, read_options
from simam_deploy.cli.process import Steps, run, wait_asleep, warn_unproved
from simam_deploy.cli.report import add_report, check_page, typed, write_report
from simam_deploy.core.files import PLANS
from simam_deploy.errors import UsageError, ValidationError
from simam_deploy.pipeline.options import ComparisonOptions
from simam_deploy.source.options import NetworkOptions, SampleOptions

if TYPE_CHECKING:
    from simam_deploy.verify.report import ComparisonReport

_EPILOG = """examples:
  simam-validate model.pth model.onnx
  simam-validate model.onnx model-fp16.onnx --data samples.npz --plot gates.html
  simam-validate model.onnx model.engine --data samples.npz
  simam-validate detector.onnx detector-fp16.onnx --data coco/annotations/instances_val2017.json
  simam-validate model.onnx model-fp16.onnx --bisect -o mended-fp16.onnx

The reference is float32 and right by definition. The candidate is judged by its own precision:
its outputs on drawn inputs, every SimAM gate by itself, and with --data the classes it ranks first
or, of a detector, what it detects and, with boxes that are known, COCO's mean average precision.
float16 and bfloat16 are rounded as the graph says; a CPU that computes in float32 would hide what
goes wrong. A plan runs on the GPU and shows no gates: its outputs and classes alone are judged.
A failed --bisect candidate stays failed, whatever file was written.
Exit codes: 0 passed, 1 a file cannot be used, 2 usage, 3 validation failed, 130 interrupted."""


_OF_THE_REFERENCE = (
    "arch", "attention", "model", "e_lambda", "input_shape", "inputs", "preprocess", "trust_pickle",
    "allow_none",
)  # fmt: skip
"""What is free, and the names, are the candidate's."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-validate",
        description="Hold one model against another: outputs, SimAM gates, accuracy.",
        epilog=_EPILOG,
    )
    p.add_argument("reference", help="checkpoint, .pt2, TorchScript archive or float32 .onnx")
    p.add_argument("candidate", help=".onnx in float32, float16, bfloat16, int8 or fp8, or .engine")
    reference = p.add_argument_group("the reference, as simam-export takes it")
    add_options(reference, NetworkOptions, *_OF_THE_REFERENCE)
    data = p.add_argument_group(
        "real data: agreement, and top-1 and top-5, or mean average precision, where it is labelled"
    )
    add_options(data, SampleOptions)
    add_options(p, ComparisonOptions)
    p.add_argument("--plot", type=Path, metavar="FILE.html", help="draw every site's gates")
    add_report(p)
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    return run(parser(), lambda args: _validate(args, argv), argv)


def _validate(args: argparse.Namespace, argv: Sequence[str] | None) -> None:
    _check(args)
    wait_asleep()
    from simam_deploy.pipeline.validate import validate_models
    from simam_deploy.report.validate_text import validate_table

    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        report = validate_models(
            args.reference,
            args.candidate,
            read_options(NetworkOptions, args),
            read_options(SampleOptions, args),
            read_options(ComparisonOptions, args),
            progress=Steps(args.quiet),
        )
    if args.plot:
        _plot(report, args.plot)
    document = json.dumps(report.to_json(), indent=2, allow_nan=False) if args.json else None
    print(document or fitted(validate_table(report)))
    if args.report:
        _report(args, report, typed("simam-validate", argv))
    warn_unproved(report.passed, report.validation.proved)
    if not report.passed:
        raise ValidationError(f"{report.candidate.file} failed: {'; '.join(report.failures)}")


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be, before any work."""
    if args.output and not args.find_hazards:
        raise UsageError("--output is where --bisect writes: give both")
    if args.output and args.output.suffix != ".onnx":
        raise UsageError(f"the output must be named .onnx, got {args.output}")
    if args.plot and Path(args.candidate).suffix in PLANS:
        raise UsageError(f"--plot draws gates, and {args.candidate}, a plan, shows none")
    places = {Path(args.reference).resolve(), Path(args.candidate).resolve()}
    if args.report:
        check_page(args.report)
    for written in (args.output, args.plot, args.report):
        if written and written.resolve() in places:
            raise UsageError(f"{written} would be overwritten: name another file")


def _report(args: argparse.Namespace, report: ComparisonReport, command: str) -> None:
    from simam_deploy.pipeline.report import Files, Found

    reference = Path(args.reference)
    files = Files(Path(args.candidate), (reference,) if reference.suffix.lower() == ".onnx" else ())
    network, found = read_options(NetworkOptions, args), Found(report.validation)
    write_report(args.report, files, network, found, command=command, progress=Steps(args.quiet))


def _plot(report: ComparisonReport, path: Path) -> None:
    from simam_deploy.core.staging import explained, publish, staging_folder
    from simam_deploy.report.gate_plot import gate_plot

    with staging_folder(path) as stage, explained(path):
        (stage / path.name).write_text(gate_plot(report), encoding="utf-8")
        publish(stage, path)

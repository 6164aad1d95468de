"""`simam validate`: one model held against another."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simam_deploy.cli.process import Steps, exit_code, return_freed_memory
from simam_deploy.core.files import PLANS
from simam_deploy.errors import UsageError, ValidationError

if TYPE_CHECKING:
    from simam_deploy.verify.report import ComparisonReport

_EPILOG = """examples:
  simam-validate model.pth model.onnx
  simam-validate model.onnx model-fp16.onnx --data samples.npz --plot gates.html
  simam-validate model.onnx model.engine --data samples.npz
  simam-validate model.onnx model-fp16.onnx --bisect -o mended-fp16.onnx

The reference is float32 and right by definition. The candidate is judged by its own precision:
its outputs on drawn inputs, every SimAM gate by itself, and with --data the classes it ranks first.
float16 and bfloat16 are rounded as the graph says; a CPU that computes in float32 would hide what
goes wrong. A plan runs on the GPU and shows no gates: its outputs and classes alone are judged.
A failed --bisect candidate stays failed, whatever file was written.
Exit codes: 0 passed, 1 a file cannot be used, 2 usage, 3 validation failed, 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-validate",
        description="Hold one model against another: outputs, SimAM gates, accuracy.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("reference", help="checkpoint, .pt2, TorchScript archive or float32 .onnx")
    p.add_argument("candidate", help=".onnx in float32, float16, bfloat16 or int8, or .engine")
    _reference_options(p)
    _data_options(p)
    p.add_argument(
        "--trust-engine", action="store_true",
        help="load a plan without its manifest's word: a plan can run code",
    )  # fmt: skip
    p.add_argument(
        "--bisect", action="store_true",
        help="where a half candidate's outputs fail, find the nodes that must stay in float32",
    )  # fmt: skip
    p.add_argument("-o", "--output", type=Path, help="with --bisect: write the file that passes")
    p.add_argument("--plot", type=Path, metavar="FILE.html", help="draw every site's gates")
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def _reference_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("the reference, as simam-export takes it")
    group.add_argument("--arch", help="its name, where the keys show no SimAM")
    group.add_argument("--model", metavar="PLACE:FACTORY", help="a network of your own")
    group.add_argument("--lambda", dest="e_lambda", type=float, metavar="L", help="SimAM's lambda")
    group.add_argument(
        "--input-shape", type=_shape, metavar="SHAPE", help="for what the candidate leaves free"
    )
    group.add_argument(
        "--trust-pickle", action="store_true",
        help="let the file run code while it loads: only for files you made yourself",
    )  # fmt: skip


def _data_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("real data")
    group.add_argument(
        "--data", type=Path, metavar="D",
        help="folder with a subfolder a class, or .npz with labels: top-1, top-5 and agreement; "
        "gates are judged on it too",
    )  # fmt: skip
    group.add_argument("--limit", type=int, metavar="N", help="the most samples")
    group.add_argument(
        "--min-agreement", type=_share, metavar="F",
        help="the least share of samples ranked alike "
        "(default: fp32 0.9999, fp16 0.999, bf16 0.992, int8 0.98)",
    )  # fmt: skip


def _shape(text: str) -> tuple[int, ...]:
    """Read `1x3x224x224`; commas do as well."""
    try:
        return tuple(int(n) for n in text.lower().replace(",", "x").split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a shape like 1x3x224x224: {text!r}") from None


def _share(text: str) -> float:
    """Read a number from 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"not a fraction from 0 to 1: {text!r}")
    return share


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: _validate(args))


def _validate(args: argparse.Namespace) -> None:
    _check(args)
    return_freed_memory()
    from simam_deploy.pipeline.validate import validate_models
    from simam_deploy.report.validate_text import validate_table
    from simam_deploy.verify.classes import Data

    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        report = validate_models(
            args.reference,
            args.candidate,
            arch=args.arch,
            model=args.model,
            e_lambda=args.e_lambda,
            input_shape=args.input_shape,
            trust_pickle=args.trust_pickle,
            trust_engine=args.trust_engine,
            data=Data(args.data, args.limit, args.min_agreement) if args.data else None,
            find_hazards=args.bisect,
            output=args.output,
            progress=Steps(args.quiet),
        )
    if args.plot:
        _plot(report, args.plot)
    document = json.dumps(report.to_json(), indent=2, allow_nan=False) if args.json else None
    print(document or validate_table(report))
    if not report.passed:
        raise ValidationError(f"{report.candidate.file} failed: {'; '.join(report.failures)}")


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be, before any work."""
    if args.output and not args.bisect:
        raise UsageError("--output is where --bisect writes: give both")
    if args.output and args.output.suffix != ".onnx":
        raise UsageError(f"the output must be named .onnx, got {args.output}")
    if args.plot and Path(args.candidate).suffix in PLANS:
        raise UsageError(f"--plot draws gates, and {args.candidate}, a plan, shows none")
    places = {Path(args.reference).resolve(), Path(args.candidate).resolve()}
    for written in (args.output, args.plot):
        if written and written.resolve() in places:
            raise UsageError(f"{written} would be overwritten: name another file")
    if not args.data and (args.limit is not None or args.min_agreement is not None):
        raise UsageError("--limit and --min-agreement are about --data: give it too")


def _plot(report: ComparisonReport, path: Path) -> None:
    from simam_deploy.core.staging import explained, publish, staging_folder
    from simam_deploy.report.gate_plot import gate_plot

    with staging_folder(path) as stage, explained(path):
        (stage / path.name).write_text(gate_plot(report), encoding="utf-8")
        publish(stage, path)

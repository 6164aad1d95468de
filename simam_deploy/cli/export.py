"""`simam export`: a checkpoint in, a validated ONNX file out."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from simam_deploy.cli.formats import FORMATS, Made
from simam_deploy.cli.help import fitted
from simam_deploy.cli.options import add_options
from simam_deploy.cli.process import (
    Steps,
    run,
    wait_asleep,
    warn_contradictions,
    warn_unproved,
)
from simam_deploy.cli.report import add_report, check_page, typed, write_report
from simam_deploy.core.files import PLANS
from simam_deploy.errors import UsageError, ValidationError
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.source.options import NetworkOptions, SampleOptions

_EPILOG = """examples:
  simam-export model.pth --format onnx
  simam-export run/model_best.pth.tar -o resnet50.onnx --dynamic hw --lambda 0.1
  simam-export avg_model.pt --input-shape 1x300x80
  simam-export yolo.pth --model yolo.py:make --input-shape 1x3x640x640
  simam-export pair.pth --model pair.py:make --input left:float32:1x3x96x96 \\
    --input right:float32:1x3x96x96
  simam-export theirs.onnx -o ours.onnx
  simam-export model.pth --precision fp16 -o model.fp16.onnx
  simam-export model.pth --format engine --precision fp16
  simam-export model.onnx --format triton -o models/
  simam-export model.pth --precision int8 --calibration-data pictures/ -o model.int8.onnx
  simam-export model.pth --preprocess resize=256,crop=224,mean=0.5,std=0.5 --labels names.txt

Beside the .onnx stands a manifest of the same name (.json). The file appears only after its
outputs agreed with the source's; otherwise NAME.failed.json holds the figures, and the error says
where the fault is. --tolerance and --keep-failed are the ways on: both are written into the file.
Exit codes: 0 done, 1 the input cannot be used, 2 usage, 3 validation failed, 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-export",
        description="Export a trained SimAM network to ONNX or a TensorRT engine, proved.",
        epilog=_EPILOG,
    )
    p.add_argument("source", nargs="?", help="checkpoint, .pt2, TorchScript archive or .onnx")
    p.add_argument(
        "--format", choices=FORMATS, default="onnx",
        help="onnx; plugin: an onnx for TensorRT's SimAM plugin; engine: a TensorRT plan, by "
        "simam-build's defaults; epcontext: that of TensorRT-RTX in an .onnx for ONNX Runtime's "
        "provider; triton: a model in a Triton repository; kserve: an "
        "InferenceService for that repository (%(default)s)",
    )  # fmt: skip
    p.add_argument("-o", "--output", help="file or folder (default: beside the source)")
    p.add_argument("--list", action="store_true", help="print the known networks and stop")
    add_options(p.add_argument_group("the network"), NetworkOptions)
    add_options(p.add_argument_group("the graph"), OnnxOptions)
    add_options(
        p.add_argument_group("real data, which the file is judged on beside drawn inputs"),
        SampleOptions,
    )
    _deployment_options(p)
    add_report(p)
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def _deployment_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("a deployment (--format triton, kserve)")
    group.add_argument("--name", help="of the model or service (default: the file's stem)")
    group.add_argument(
        "--storage-uri", metavar="URI", help="kserve: where the Triton repository was copied to"
    )
    group.add_argument(
        "--repository",
        metavar="PATH",
        help="triton, of a file of `function`: where Triton will have the repository, such as "
        "/models; SimAM's operators for ONNX Runtime are then copied into it and named there",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    return run(parser(), lambda args: _list() if args.list else _export(args, argv), argv)


def _list() -> None:
    from simam_deploy.report.text import network_table

    print(fitted(network_table()))


def _export(args: argparse.Namespace, argv: Sequence[str] | None) -> None:
    _check(args)
    wait_asleep()
    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        made = FORMATS[args.format](args, Steps(args.quiet))
    document = made.document
    print(json.dumps(document, indent=2) if args.json else fitted(made.table))
    if args.report:
        _report(args, made, typed("simam-export", argv))
    warn_contradictions(document)
    validation = document.get("validation", {})
    warn_unproved(validation.get("passed") is True, validation.get("proved") is not False)
    if validation.get("passed") is False:
        raise ValidationError(
            f"{args.source}: the file was written though it failed (--keep-failed)"
        )


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be, before any work.

    Raises:
        InputError: A report is asked for and cannot be made here.
        UsageError: There is no source, or a report is asked for of what has none.
    """
    if args.source is None:
        raise UsageError("no source given; `simam-export --help` shows how")
    if args.report and args.format in ("epcontext", "triton", "kserve"):
        raise UsageError(f"--report is about a graph or a plan, --format {args.format} shows none")
    if args.report:
        check_page(args.report)


def _report(args: argparse.Namespace, made: Made, command: str) -> None:
    from simam_deploy.pipeline.report import Files, Found

    assert made.path is not None
    given = [Path(args.source)] if Path(args.source).suffix.lower() == ".onnx" else []
    files = Files(made.path, tuple(given) if made.path.suffix in PLANS else ())
    write_report(
        args.report,
        files,
        NetworkOptions(input_shape=args.input_shape),
        Found(made.validation),
        command=command,
        progress=Steps(args.quiet),
    )

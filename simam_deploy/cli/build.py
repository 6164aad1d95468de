"""`simam build`: an ONNX file or a checkpoint in, a TensorRT engine out."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from simam_deploy.cli.formats import BUILT
from simam_deploy.cli.help import fitted
from simam_deploy.cli.options import add_options
from simam_deploy.cli.process import Steps, return_freed_memory, run, warn_contradictions
from simam_deploy.cli.report import add_report, check_page, typed, write_report
from simam_deploy.engine.options import EngineOptions
from simam_deploy.errors import UsageError
from simam_deploy.source.options import NetworkOptions

_EPILOG = """examples:
  simam-build model.onnx
  simam-build model.onnx -o model.engine --precision fp16 --backend rtx --target sm80,sm86,sm89
  simam-build model.onnx --opt-shapes input:8x3x224x224 --max-shapes input:64x3x224x224
  simam-build model.pth --precision fp16
  simam-build model.onnx --format epcontext --target sm89 -o model_ctx.onnx

Beside model.engine stand its manifest, model.engine.json, and what TensorRT said, model.engine.log.
TensorRT-RTX (--backend rtx) builds without a GPU. Nothing is installed by itself: `simam-doctor`
says what is missing.
Exit codes: 0 done, 1 the input cannot be used, 2 usage, 3 other than asked, 130 interrupted."""

_SHAPES = ("min_shapes", "opt_shapes", "max_shapes")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-build",
        description="Build a TensorRT or TensorRT-RTX engine and audit it.",
        epilog=_EPILOG,
    )
    p.add_argument("source", help=".onnx, or a checkpoint, which is exported first")
    p.add_argument("-o", "--output", help="file or folder (default: beside the source)")
    p.add_argument(
        "--format", choices=BUILT, default="plan",
        help="epcontext: the plan in an .onnx for ONNX Runtime's TensorRT-RTX provider, "
        "NvTensorRTRTXExecutionProvider; built without a GPU (%(default)s)",
    )  # fmt: skip
    others = [f.name for f in fields(EngineOptions) if f.name not in _SHAPES]
    add_options(p.add_argument_group("the engine"), EngineOptions, *others)
    shapes = p.add_argument_group(
        "dynamic inputs", "as x:1x3x224x224,y:1x10; once for each profile (default: batch 1/8/32)"
    )
    add_options(shapes, EngineOptions, *_SHAPES)
    network = p.add_argument_group("a checkpoint's network, as for simam-export")
    add_options(network, NetworkOptions)
    add_report(p)
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    return run(parser(), lambda args: _build(args, argv), argv)


def _build(args: argparse.Namespace, argv: Sequence[str] | None) -> None:
    if args.report and args.format == "epcontext":
        raise UsageError("--report is about a plan or an .onnx whose graph can be read")
    if args.report:
        check_page(args.report)
    return_freed_memory()
    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        made = BUILT[args.format](args, Steps(args.quiet))
    print(json.dumps(made.document, indent=2) if args.json else fitted(made.table))
    if args.report:
        assert made.path is not None
        _report(args, made.path, typed("simam-build", argv))
    warn_contradictions(made.document)


def _report(args: argparse.Namespace, plan: Path, command: str) -> None:
    from simam_deploy.pipeline.report import Files

    source = Path(args.source)
    files = Files(plan, (source,) if source.suffix.lower() == ".onnx" else ())
    network, steps = NetworkOptions(input_shape=args.input_shape), Steps(args.quiet)
    write_report(args.report, files, network, command=command, progress=steps)

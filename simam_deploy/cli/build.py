"""`simam build`: an ONNX file or a checkpoint in, a TensorRT engine out."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from simam_deploy.cli.process import Steps, exit_code, return_freed_memory
from simam_deploy.core.specs import PRECISIONS

_EPILOG = """examples:
  simam-build model.onnx
  simam-build model.onnx -o model.engine --precision fp16 --backend rtx --target sm80,sm86,sm89
  simam-build model.onnx --opt-shapes input:8x3x224x224 --max-shapes input:64x3x224x224
  simam-build model.pth --precision fp16

Beside model.engine stand its manifest, model.engine.json, and what TensorRT said, model.engine.log.
TensorRT-RTX (--backend rtx) builds without a GPU. Nothing is installed by itself: `simam-doctor`
says what is missing.
Exit codes: 0 done, 1 the input cannot be used, 2 usage, 3 other than asked, 130 interrupted."""

_SHAPE = re.compile(r"(?P<name>.+):(?P<shape>\d+(?:x\d+)*)")
_TARGET = re.compile(r"current|sm\d{2,3}")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-build",
        description="Build a TensorRT or TensorRT-RTX engine and audit it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("source", help=".onnx, or a checkpoint, which is exported first")
    p.add_argument("-o", "--output", help="file or folder (default: beside the source)")
    _engine_options(p)
    _shape_options(p)
    _network_options(p)
    p.add_argument("--no-cache", action="store_true", help="build anew and keep no copy")
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def _engine_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("the engine")
    group.add_argument(
        "--precision", choices=PRECISIONS,
        help="a float32 source is converted, and the conversion proved, SimAM staying in float32 "
        "(default: the source's own)",
    )  # fmt: skip
    group.add_argument(
        "--calibration-data", type=Path, metavar="D",
        help="samples for int8: a folder of pictures, .npz or .npy",
    )  # fmt: skip
    group.add_argument(
        "--no-keep-io", action="store_true", help="inputs and outputs become half as well"
    )
    group.add_argument("--tf32", action="store_true", help="let float32 products round to TF32")
    group.add_argument(
        "--backend", choices=["auto", "tensorrt", "rtx"], default="auto",
        help="TensorRT where it is installed and a GPU is there, else TensorRT-RTX (auto)",
    )  # fmt: skip
    group.add_argument(
        "--target", type=_targets, default=(), metavar="SM,SM",
        help="GPUs to build for: sm80,sm86,sm89,sm120 or current (default: the library's choice)",
    )  # fmt: skip
    group.add_argument("--workspace", type=_positive, metavar="MIB", help="scratch memory allowed")
    group.add_argument(
        "--timing-cache", type=Path, metavar="FILE", help="timings to reuse (TensorRT alone)"
    )
    group.add_argument(
        "--plugin", default="auto", metavar="auto|never|aot|PATH",
        help="the SimAM plugin: keep it if that is faster, leave it out, put only its kernels into "
        "the plan (TensorRT alone), or take this one (auto)",
    )  # fmt: skip


def _shape_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group(
        "dynamic inputs", "as x:1x3x224x224,y:1x10; once for each profile (default: batch 1/8/32)"
    )
    for which, meaning in (("min", "least"), ("opt", "tuned for"), ("max", "largest")):
        group.add_argument(
            f"--{which}-shapes", type=_shapes, action="append", default=[], metavar="SHAPES",
            help=meaning,
        )  # fmt: skip


def _network_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("a checkpoint's network, as for simam-export")
    group.add_argument("--arch", help="its name, where the keys show no SimAM")
    group.add_argument("--model", metavar="PLACE:FACTORY", help="a network of your own")
    group.add_argument("--lambda", dest="e_lambda", type=float, metavar="L", help="SimAM's lambda")
    group.add_argument("--dynamic", choices=["none", "batch", "hw"], help="free dimensions")
    group.add_argument("--input-shape", type=_shape, metavar="SHAPE", help="e.g. 1x3x224x224")
    group.add_argument("--trust-pickle", action="store_true", help="let the file run code")


def _targets(text: str) -> tuple[str, ...]:
    targets = tuple(text.lower().replace("sm_", "sm").split(","))
    for target in targets:
        if not _TARGET.fullmatch(target):
            raise argparse.ArgumentTypeError(f"not a target like sm89 or current: {target!r}")
    if len(set(targets)) < len(targets) or ("current" in targets and len(targets) > 1):
        raise argparse.ArgumentTypeError(f"a target stands twice, or beside current: {text!r}")
    return targets


def _shapes(text: str) -> dict[str, tuple[int, ...]]:
    """Read `x:1x3x224x224,y:1x10`."""
    found = {}
    for part in text.split(","):
        match = _SHAPE.fullmatch(part)
        if match is None:
            raise argparse.ArgumentTypeError(f"not NAME:SHAPE like x:1x3x224x224: {part!r}")
        found[match["name"]] = _shape(match["shape"])
    return found


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a shape like 1x3x224x224: {text!r}") from None


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"not a number above 0: {text!r}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: _build(args))


def _build(args: argparse.Namespace) -> None:
    return_freed_memory()
    from simam_deploy.engine.options import EngineOptions
    from simam_deploy.pipeline.build import build
    from simam_deploy.report.build_text import build_table
    from simam_deploy.source import Options

    engine = EngineOptions(
        precision=args.precision,
        keep_io=not args.no_keep_io,
        calibration_data=args.calibration_data,
        backend=args.backend,
        targets=args.target,
        min_shapes=tuple(args.min_shapes),
        opt_shapes=tuple(args.opt_shapes),
        max_shapes=tuple(args.max_shapes),
        workspace=args.workspace,
        timing_cache=args.timing_cache,
        plugin=args.plugin,
        tf32=args.tf32,
        cache=not args.no_cache,
    )
    network = Options(
        arch=args.arch,
        model=args.model,
        e_lambda=args.e_lambda,
        dynamic=args.dynamic,
        input_shape=args.input_shape,
        trust_pickle=args.trust_pickle,
    )
    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        artifact = build(args.source, args.output, engine, network, progress=Steps(args.quiet))
    print(json.dumps(artifact.to_json(), indent=2) if args.json else build_table(artifact))

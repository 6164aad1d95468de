"""`simam export`: a checkpoint in, a validated ONNX file out."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence

from simam_deploy.cli.formats import FORMATS
from simam_deploy.cli.process import Steps, exit_code, return_freed_memory
from simam_deploy.core.specs import PRECISIONS
from simam_deploy.errors import UsageError

_EPILOG = """examples:
  simam-export model.pth --format onnx
  simam-export run/model_best.pth.tar -o resnet50.onnx --dynamic hw --lambda 0.1
  simam-export avg_model.pt --input-shape 1x300x80
  simam-export yolo.pth --model yolo.py:make --input-shape 1x3x640x640
  simam-export theirs.onnx -o ours.onnx
  simam-export model.pth --precision fp16 -o model.fp16.onnx
  simam-export model.pth --format engine --precision fp16
  simam-export model.onnx --format triton -o models/
  simam-export model.pth --precision int8 --calibration-data pictures/ -o model.int8.onnx

Beside the .onnx stands a manifest of the same name (.json). The file appears only after its
outputs agreed with the source's; otherwise NAME.failed.json holds the figures.
Exit codes: 0 done, 1 the input cannot be used, 2 usage, 3 validation failed, 130 interrupted."""

LOWERINGS = ("auto", "portable", "flat", "function", "instancenorm", "plugin")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-export",
        description="Export a trained SimAM network to ONNX or a TensorRT engine, proved.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("source", nargs="?", help="checkpoint, .pt2, TorchScript archive or .onnx")
    p.add_argument(
        "--format", choices=FORMATS, default="onnx",
        help="onnx; plugin: an onnx for TensorRT's SimAM plugin; engine: a TensorRT plan, by "
        "simam-build's defaults; triton: a model in a Triton repository; kserve: an "
        "InferenceService for that repository (%(default)s)",
    )  # fmt: skip
    p.add_argument("-o", "--output", help="file or folder (default: beside the source)")
    p.add_argument("--list", action="store_true", help="print the known networks and stop")
    _network_options(p)
    _graph_options(p)
    _deployment_options(p)
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def _network_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("the network")
    group.add_argument("--arch", help="its name, where the keys show no SimAM (see --list)")
    group.add_argument(
        "--model", metavar="PLACE:FACTORY",
        help="a network of your own: file.py:factory or package.module:factory",
    )  # fmt: skip
    group.add_argument(
        "--lambda", dest="e_lambda", type=float, metavar="L",
        help="SimAM's lambda (default: what the file or its folder says, else the published one)",
    )  # fmt: skip
    group.add_argument(
        "--trust-pickle", action="store_true",
        help="let the file run code while it loads: only for files you made yourself",
    )  # fmt: skip


def _graph_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("the graph")
    group.add_argument(
        "--dynamic", choices=["none", "batch", "hw"],
        help="free dimensions: none, the batch, or batch and height and width "
        "(frames for audio) (default: batch; hw for audio)",
    )  # fmt: skip
    group.add_argument(
        "--input-shape", type=_shape, metavar="SHAPE", help="e.g. 1x3x224x224 or 3x224x224"
    )
    group.add_argument("--opset", type=int, help="13 to 23 (18; an .onnx file's own)")
    group.add_argument("--input-names", type=_names, metavar="NAME", help="the input's name")
    group.add_argument("--output-names", type=_names, metavar="A,B", help="the outputs' names")
    group.add_argument(
        "--lowering", choices=LOWERINGS, default="auto",
        help="what SimAM becomes: plain ops for any runtime (portable), arranged for engines "
        "(flat), one node with a function body (function), the same marked for TensorRT's plugin "
        "(plugin), or InstanceNormalization, fastest on ONNX Runtime's CPU but of fixed size "
        "(default: portable)",
    )  # fmt: skip
    group.add_argument(
        "--precision", choices=PRECISIONS,
        help="of weights and activations; SimAM itself computes in float32 (default: the source's)",
    )  # fmt: skip
    group.add_argument(
        "--keep-io", action=argparse.BooleanOptionalAction, default=True,
        help="float32 inputs and outputs whatever the precision (default: yes)",
    )  # fmt: skip
    group.add_argument(
        "--calibration-data", metavar="D",
        help="samples for int8: a folder of pictures, .npz or .npy",
    )  # fmt: skip
    group.add_argument(
        "--calibration-samples", type=int, default=256, metavar="N",
        help="the most samples to calibrate on, spread evenly (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--labels", metavar="FILE",
        help="the classes' names, a line each in the order of the scores, for who serves the file",
    )  # fmt: skip
    group.add_argument("--no-simplify", action="store_true", help="leave onnx-simplifier out")


def _deployment_options(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("a deployment (--format triton, kserve)")
    group.add_argument("--name", help="of the model or service (default: the file's stem)")
    group.add_argument(
        "--storage-uri", metavar="URI", help="kserve: where the Triton repository was copied to"
    )


def _shape(text: str) -> tuple[int, ...]:
    """Read `1x3x224x224`; commas do as well."""
    try:
        return tuple(int(n) for n in text.lower().replace(",", "x").split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a shape like 1x3x224x224: {text!r}") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: _list() if args.list else _export(args))


def _list() -> None:
    from simam_deploy.report.text import network_table

    print(network_table())


def _export(args: argparse.Namespace) -> None:
    if args.source is None:
        raise UsageError("no source given; `simam-export --help` shows how")
    return_freed_memory()
    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        document, table = FORMATS[args.format](args, Steps(args.quiet))
    print(json.dumps(document, indent=2) if args.json else table)

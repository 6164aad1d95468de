"""`simam explain`: where a network looks in a picture."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simam_deploy.cli.help import fitted
from simam_deploy.cli.options import add_options, read_options
from simam_deploy.cli.process import Steps, return_freed_memory, run
from simam_deploy.errors import UsageError
from simam_deploy.pipeline.options import ExplainOptions
from simam_deploy.source.options import NetworkOptions

if TYPE_CHECKING:
    from simam_deploy.pipeline.explain import Explanation

_EPILOG = """examples:
  simam-explain model.pth cat.jpg -o cat.png
  simam-explain model.pth cat.jpg -o cat.png --class tabby --labels names.txt
  simam-explain mask_rcnn.pth street.jpg -o street.png --box 2 --layer neck.fpn_convs.0
  simam-explain yolo.pth street.jpg -o street.png --model yolo.py:make --preprocess yolo
  simam-explain model.onnx cat.jpg -o cat.png --method attention

Grad-CAM (Selvaraju et al., 2017) shows where in a layer's maps the score of one class, or of one
detection, comes from. Attention is the gate of a SimAM, averaged over its channels. Both are laid
over the picture as it was given; what the network did not see of it is pale. Grad-CAM needs the
network in PyTorch; an .onnx has attention alone. What is explained is an element of the network's
outputs, which is printed: logits where it gives logits, probabilities where it gives these.
Exit codes: 0 done, 1 the input cannot be used, 2 usage, 130 interrupted."""

_OF_THE_NETWORK = (
    "arch", "attention", "model", "e_lambda", "input_shape", "preprocess", "trust_pickle"
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-explain",
        description="Show where in a picture a network looks: Grad-CAM and SimAM's gates.",
        epilog=_EPILOG,
    )
    p.add_argument("source", help="checkpoint, or .onnx for attention alone")
    p.add_argument("picture", type=Path, help="JPEG, PNG, WebP, TIFF, BMP or PPM")
    p.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE.png",
        help="where to draw it; of a folder (a new one ends in /) NAME.explained.png in it",
    )
    add_options(p, ExplainOptions)
    group = p.add_argument_group("the network, as simam-export takes it")
    add_options(group, NetworkOptions, *_OF_THE_NETWORK)
    p.add_argument(
        "--json", action="store_true",
        help="one JSON document on stdout, the maps' cells in it, nothing else",
    )  # fmt: skip
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    return run(parser(), _explain, argv)


def _explain(args: argparse.Namespace) -> None:
    _check(args)
    return_freed_memory()
    from simam_deploy.pipeline.explain import explain
    from simam_deploy.report.explain_text import explain_table

    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        found = explain(
            args.source,
            args.picture,
            read_options(ExplainOptions, args),
            read_options(NetworkOptions, args),
            progress=Steps(args.quiet),
        )
        _draw(found, args.output)
    table = fitted(explain_table(found, args.output))
    print(json.dumps(found.to_json(), indent=2) if args.json else table)


def _check(args: argparse.Namespace) -> None:
    """Say where it goes, and refuse what cannot be, before any work."""
    is_folder = args.output.endswith(os.sep) or Path(args.output).is_dir()
    inside = f"{args.picture.stem}.explained.png"
    args.output = Path(args.output, inside) if is_folder else Path(args.output)
    if args.output.suffix.lower() != ".png":
        raise UsageError(f"the output must be named .png, got {args.output}")
    if args.output.resolve() in {Path(args.source).resolve(), args.picture.resolve()}:
        raise UsageError(f"{args.output} would be overwritten: name another file")


def _draw(found: Explanation, path: Path) -> None:
    from simam_deploy.core.staging import explained, publish, staging_folder
    from simam_deploy.report.overlay import sheet

    with staging_folder(path) as stage, explained(path):
        sheet(found).save(stage / path.name, "PNG")
        publish(stage, path)

"""`simam bench`: models side by side, and the operator alone."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simam_deploy.bench.options import BenchOptions
from simam_deploy.cli.bench_options import add_outputs
from simam_deploy.cli.commands import ASKED
from simam_deploy.cli.help import fitted
from simam_deploy.cli.options import add_options, argument, read_options
from simam_deploy.cli.process import INTERRUPTED, Steps, run
from simam_deploy.cli.report import add_report, check_page, typed, write_report
from simam_deploy.cli.tab import next_word
from simam_deploy.core.files import PLANS
from simam_deploy.core.specs import PRECISIONS
from simam_deploy.errors import InputError, UsageError
from simam_deploy.source.options import NetworkOptions, SampleOptions

if TYPE_CHECKING:
    from simam_deploy.bench.records import BenchReport

SUBCOMMANDS = {
    "attention": "simam_deploy.cli.bench_attention",
    "ops": "simam_deploy.cli.bench_ops",
}
"""Tables of their own, by their first word; a file of such a name is written ./ops."""

_EPILOG = """examples:
  simam-bench model.pth model.onnx
  simam-bench model.pth ours.onnx theirs.onnx --compile --batch 1,8 --csv figures.csv
  simam-bench model.onnx model-fp16.onnx --data pictures/ --json
  simam-bench fp16.engine int8.engine --reference model.pth
  simam-bench model.pth --precision all --data pictures/
  simam-bench ops                                  # SimAM alone, every lowering against a copy
  simam-bench attention                            # networks with SE, CBAM, ... beside SimAM

Each model runs in processes of its own, which take turns; what is said is how many times as fast as
the first each is, with a 95 % interval over --starts of all processes: two benchmarks of one
machine agree within it. Beside it stands how far its outputs are from a float32 reference's on the
inputs that were timed, and with --data top-1 or mean average precision. A model that cannot be
measured is a line that says why; the others are measured, and the exit code is 1; a precision that
is refused is a finding, and no error. Ctrl-C keeps the figures taken so far.
Exit codes: 0 done, 1 a model cannot be measured, 2 usage, 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-bench",
        description="Measure models side by side: time, memory, and agreement beside them.",
        epilog=_EPILOG,
    )
    p.add_argument("models", nargs="+", help="checkpoints and other sources, .onnx files, plans")
    p.add_argument(
        "--precision", type=_precisions, metavar="all|P,Q",
        help="export the one model in each (fp32, fp16, bf16, int8, fp8) and measure the files",
    )  # fmt: skip
    p.add_argument(
        "-o", "--output", metavar="DIR",
        help="with --precision: for the files (default: NAME-precisions beside the model)",
    )  # fmt: skip
    add_options(p.add_argument_group("how they are measured"), BenchOptions)
    add_options(
        p.add_argument_group("what PyTorch runs, as simam-export takes it"),
        NetworkOptions,
        *("arch", "attention", "model", "e_lambda", "input_shape", "inputs", "preprocess"),
        *("trust_pickle", "allow_none"),
    )
    add_options(p.add_argument_group("real data, for accuracy, and to run on"), SampleOptions)
    add_outputs(p)
    add_report(p)
    return p


@argument
def _precisions(text: str) -> tuple[str, ...]:
    """Read `all`, or `fp32,int8`."""
    names = tuple(PRECISIONS) if text == "all" else tuple(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in PRECISIONS]:
        raise ValueError(
            f"not a precision, which is one of {', '.join(PRECISIONS)}: {unknown[0]!r}"
        )
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if ASKED in os.environ:
        words = [word for word in (next_word(tuple(SUBCOMMANDS)),) if word]
    if words and words[0] in SUBCOMMANDS:
        return int(importlib.import_module(SUBCOMMANDS[words[0]]).main(words[1:]))
    reports: list[BenchReport] = []
    code = run(parser(), lambda args: _bench(args, reports, words), words)
    return INTERRUPTED if reports and reports[0].interrupted else code


def _bench(args: argparse.Namespace, reports: list[BenchReport], words: Sequence[str]) -> None:
    from simam_deploy.report.bench_text import bench_table

    _check(args)
    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        report = _measure(args)
    reports.append(report)
    print(json.dumps(report.to_json(), indent=2) if args.json else fitted(bench_table(report)))
    if args.report:
        _report(args, report, typed("simam-bench", words))
    if report.failed and not (report.interrupted or args.precision):
        names = ", ".join(subject.name for subject in report.failed)
        raise InputError(f"not measured as asked: {names}")


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be, before any work."""
    if args.precision and len(args.models) > 1:
        raise UsageError("--precision is for one model, from which the files are made")
    if args.output and not args.precision:
        raise UsageError("--output is where --precision writes: give both")
    if args.precision and args.reference:
        raise UsageError("--precision holds every file against the model itself: leave --reference")
    if args.report:
        _check_report(args)


def _measure(args: argparse.Namespace) -> BenchReport:
    said = (
        read_options(NetworkOptions, args),
        read_options(SampleOptions, args),
        read_options(BenchOptions, args),
    )
    where: dict[str, Any] = {"table": args.csv, "progress": Steps(args.quiet)}
    if args.precision:
        from simam_deploy.pipeline.bench_precisions import bench_precisions

        (model,) = args.models
        return bench_precisions(model, args.precision, *said, output=args.output, **where)
    from simam_deploy.pipeline.bench import bench_models

    return bench_models(args.models, *said, **where)


def _check_report(args: argparse.Namespace) -> None:
    """Refuse, before any work, a page that cannot be made of these models.

    Raises:
        InputError: Matplotlib is missing, or somebody else's file lies there.
        UsageError: None of them is an .onnx or a plan.
    """
    from simam_deploy.pipeline.report import sort_files

    check_page(args.report)
    if not args.precision:
        sort_files(_artifacts(args.models))


def _artifacts(names: Sequence[str]) -> list[Path]:
    """List what a page is about: sources in PyTorch are in its figures alone."""
    return [path for path in map(Path, names) if path.suffix in (".onnx", *PLANS)]


def _report(args: argparse.Namespace, report: BenchReport, command: str) -> None:
    from simam_deploy.pipeline.bench_precisions import folder_of
    from simam_deploy.pipeline.report import Found, sort_files

    files = _artifacts(args.models)
    if args.precision:
        made = _artifacts([subject.file for subject in report.subjects])
        folder = folder_of(Path(args.models[0]), args.output)
        files = [folder / path for path in made if (folder / path).is_file()]
    network, found = read_options(NetworkOptions, args), Found(bench=report)
    steps = Steps(args.quiet)
    write_report(args.report, sort_files(files), network, found, command=command, progress=steps)

"""`simam bench ops`: the operator alone."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simam_deploy.cli.bench_options import add_outputs
from simam_deploy.cli.help import fitted
from simam_deploy.cli.options import positive, shape
from simam_deploy.cli.process import INTERRUPTED, Steps, run
from simam_deploy.core.specs import shape_text
from simam_deploy.errors import UsageError

if TYPE_CHECKING:
    from simam_deploy.bench.records import OpsReport

_EPILOG = """examples:
  simam-bench ops
  simam-bench ops --shape 1x64x56x56 --shape 8x512x7x7 --precision fp32 --csv ops.csv

Each way computes four SimAMs in a row and takes turns with four copies of the same map, by one
thread of the CPU and its processor time; the ratio's 95 % interval is over --starts of the process.
Exit codes: 0 done, 1 it cannot be measured, 2 usage, 130 interrupted (what was measured is
printed)."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-bench ops",
        description="Measure SimAM alone in every lowering, against a copy of its map.",
        epilog=_EPILOG,
    )
    p.add_argument(
        "--shape", type=shape, action="append", default=[], metavar="NxCxHxW",
        help="of a map; may be given more than once (default: maps of ResNets and of a detector)",
    )  # fmt: skip
    p.add_argument("--precision", choices=("fp32", "fp16"), help="of the map (default: both)")
    p.add_argument("--starts", type=positive, default=5, help="of a process (%(default)s)")
    p.add_argument("--rounds", type=positive, default=50, help="over all starts (%(default)s)")
    add_outputs(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    reports: list[OpsReport] = []
    code = run(parser(), lambda args: _bench(args, reports), argv)
    return INTERRUPTED if reports and reports[0].interrupted else code


def _bench(args: argparse.Namespace, reports: list[OpsReport]) -> None:
    wrong = [each for each in args.shape if len(each) != 4 or each[2] * each[3] < 2]
    if wrong:
        raise UsageError(f"a map is NxCxHxW of 2 pixels or more, got {shape_text(wrong[0])}")
    from simam_deploy.bench.operator import PRECISIONS, SHAPES, OpsPlan
    from simam_deploy.pipeline.bench_ops import bench_operator
    from simam_deploy.report.bench_ops_text import ops_table

    plan = OpsPlan(
        tuple(args.shape) or SHAPES,
        (args.precision,) if args.precision else PRECISIONS,
        args.starts,
        args.rounds,
    )
    report = bench_operator(plan, table=args.csv, progress=Steps(args.quiet))
    reports.append(report)
    print(json.dumps(report.to_json(), indent=2) if args.json else fitted(ops_table(report)))

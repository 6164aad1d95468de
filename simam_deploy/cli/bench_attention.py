"""`simam bench attention`: the published comparison, deployed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simam_deploy.bench.options import BenchOptions, read_batches
from simam_deploy.cli.bench_options import add_outputs
from simam_deploy.cli.help import fitted
from simam_deploy.cli.options import add_options, argument
from simam_deploy.cli.process import INTERRUPTED, Steps, run
from simam_deploy.models.attention.kinds import KINDS, AttentionName

if TYPE_CHECKING:
    from simam_deploy.bench.attention import AttentionReport

_EPILOG = """examples:
  simam-bench attention
  simam-bench attention --backbones resnet18 --attention simam,se,eca --batch 1 --csv table.csv

Each backbone with each attention, at its published size and with drawn weights, is exported with
its proof, counted as a TensorRT-RTX plan where that library is, and run in ONNX Runtime by one
thread of the CPU. All of a backbone take turns; what is said is how many times the time without
attention each takes, with a 95 % interval over --starts of all processes.
Exit codes: 0 done, 1 it cannot be measured, 2 usage, 130 interrupted (what was known by then is
printed)."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-bench attention",
        description="Measure SimAM beside SE, CBAM, ECA, GC, SRM, BAM and no attention.",
        epilog=_EPILOG,
    )
    p.add_argument(
        "--backbones", type=_networks, metavar="A,B",
        help="known networks (default: resnet18, resnet50, mobilenet_v2, cifar_preresnet56)",
    )  # fmt: skip
    p.add_argument(
        "--attention", type=_attentions, metavar="A,B", default=tuple(KINDS),
        help=f"beside none: of {', '.join(KINDS)} (default: all)",
    )  # fmt: skip
    p.add_argument(
        "--batch", type=argument(read_batches), default=(1, 8), metavar="N,M",
        help="rows of a run (default: 1,8)",
    )  # fmt: skip
    add_options(p, BenchOptions, "starts", "rounds")
    add_outputs(p)
    return p


def _networks(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.split(",")))


@argument
def _attentions(text: str) -> tuple[AttentionName, ...]:
    """Read `simam,se`."""
    names = text.split(",")
    if unknown := [name for name in names if name not in KINDS]:
        raise ValueError(f"not an attention, which is one of {', '.join(KINDS)}: {unknown[0]!r}")
    return tuple(name for name in KINDS if name in names)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    reports: list[AttentionReport] = []
    code = run(parser(), lambda args: _bench(args, reports), argv)
    return INTERRUPTED if reports and reports[0].interrupted else code


def _bench(args: argparse.Namespace, reports: list[AttentionReport]) -> None:
    from simam_deploy.pipeline.bench_attention import BACKBONES, AttentionPlan, bench_attention
    from simam_deploy.report.bench_attention_text import attention_table

    plan = AttentionPlan(
        args.backbones or BACKBONES, args.attention, args.batch, args.starts, args.rounds
    )
    report = bench_attention(plan, table=args.csv, progress=Steps(args.quiet))
    reports.append(report)
    print(json.dumps(report.to_json(), indent=2) if args.json else fitted(attention_table(report)))

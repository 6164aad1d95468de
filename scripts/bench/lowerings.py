"""How the lowerings compare with the published eleven nodes of SimAM, in one run.

    speed      on ONNX Runtime's CPU provider, one thread: times as fast as the published nodes,
               in that thread's processor time, which is not that of others who wait beside it.
               Of single feature maps, four SimAMs in a row, since what reads a graph's input or
               writes its output is copied where inside a graph it is not; and of a whole network
               at batch 1. Lowerings take turns in every round, the order moves by one each time,
               and the figure is the median over rounds of the ratio within a round. A turn is
               two runs, of which the second counts: a process that serves one network finds
               its weights in the cache.
    launches   kernels in a TensorRT-RTX plan of a whole network, built without a GPU; "none" is
               the network without SimAM, its batch norms left as they are.

What was expected before it was measured stands in predictions.md.

    python scripts/bench/lowerings.py [--rounds 60] [--csv scripts/bench/results/lowerings.csv]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import itertools
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir
from engines import launches, traced

from simam_deploy.bench.operator import SHAPES
from simam_deploy.bench.operator_graphs import WAYS, lowered, row_of_sites, session
from simam_deploy.graph.lower.expand import expand
from simam_deploy.precision.half.half import to_half

WHOLE = ("mobilenet_v2", "resnet50")
ENGINES = ("resnet18", "resnet50", "mobilenet_v2")
COLUMNS = (
    "date", "machine", "with", "of", "precision", "lowering", "milliseconds", "times_as_fast",
    "launches",
)  # fmt: skip
Row = dict[str, str]


def left_out(model: ir.Model) -> int:
    return expand(model, lambda tape, x, e_lambda, ratio: tape.op("Identity", x), rank=0)


def speeds(model: ir.Model, rounds: int) -> dict[str, tuple[float, float]]:
    """Give, by lowering, median milliseconds and times as fast as the published nodes."""
    runs = {name: session(lowered(model, name)) for name in WAYS}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            runs[name]()
            started = time.thread_time()
            runs[name]()
            seconds[name].append(time.thread_time() - started)
    base = seconds["published"]
    return {
        name: (
            1e3 * statistics.median(taken),
            statistics.median(b / t for b, t in zip(base, taken, strict=True)),
        )
        for name, taken in seconds.items()
    }


def speed_rows(rounds: int) -> Iterator[Row]:
    """Measure single maps and whole networks."""
    subjects = {"x".join(map(str, shape)): row_of_sites(shape) for shape in SHAPES}
    for network, batch in itertools.product(WHOLE, (1, "dynamic")):
        subjects[f"{network}, {batch} batch"] = traced(network, batch)
    for subject, model in subjects.items():
        for lowering, (milliseconds, ratio) in speeds(model, rounds).items():
            figures = {"milliseconds": f"{milliseconds:.2f}", "times_as_fast": f"{ratio:.3f}"}
            yield {"of": subject, "precision": "fp32", "lowering": lowering, **figures}


def launch_rows() -> Iterator[Row]:
    """Count the launches in plans of whole networks."""
    for network, batch in itertools.product(ENGINES, (1, 8, "dynamic")):
        subject = traced(network, batch)
        for precision, name in itertools.product(("fp32", "fp16"), ("none", *WAYS)):
            model = subject.clone()
            if precision == "fp16":
                to_half(model, ir.DataType.FLOAT16)
            (WAYS | {"none": left_out})[name](model)
            of = f"{network}, {batch} batch"
            count = str(launches(model))
            yield {"of": of, "precision": precision, "lowering": name, "launches": count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--csv", type=Path, help="where to put the figures")
    args = parser.parse_args()
    measures = {"onnxruntime": speed_rows(args.rounds), "tensorrt_rtx_cu13": launch_rows()}
    rows = []
    for package, measured in measures.items():
        for row in measured:
            print(*row.values(), sep="  ", flush=True)
            tool = f"{package} {importlib.metadata.version(package)}"
            rows.append({**stamp(), "with": tool, **row})
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def stamp() -> Row:
    return {"date": str(datetime.date.today()), "machine": f"{os.cpu_count()} CPU cores"}


if __name__ == "__main__":
    main()

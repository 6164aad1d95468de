"""How the lowerings compare with the published eleven nodes of SimAM, in one run.

Measured is on ONNX Runtime's CPU provider, one thread, how many times as fast they are: in that
thread's processor time, which is not that of others who wait beside it. Of single feature maps,
four SimAMs in a row, since what reads a graph's input or writes its output is copied where inside a
graph it is not; and of a whole network at batch 1. Lowerings take turns in every round, the order
moves by one each time, and the figure is the median over rounds of the ratio within a round. A turn
is two runs, of which the second counts: a process that serves one network finds its weights in the
cache. What their kernels number in an engine, `launches.py` counts.

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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from engines import traced

from simam_deploy.bench.operator import SHAPES
from simam_deploy.bench.operator_graphs import row_of_sites, ways_of

WHOLE = ("mobilenet_v2", "resnet50")
COLUMNS = (
    "date", "machine", "with", "of", "precision", "lowering", "milliseconds", "times_as_fast",
)  # fmt: skip
Row = dict[str, str]


def speeds(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Give, by way, median milliseconds and times as fast as the published nodes."""
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
        runs = {name: make() for name, make in ways_of(model)}
        for lowering, (milliseconds, ratio) in speeds(runs, rounds).items():
            figures = {"milliseconds": f"{milliseconds:.2f}", "times_as_fast": f"{ratio:.3f}"}
            yield {"of": subject, "precision": "fp32", "lowering": lowering, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--csv", type=Path, help="where to put the figures")
    args = parser.parse_args()
    tool = f"onnxruntime {importlib.metadata.version('onnxruntime')}"
    rows = []
    for row in speed_rows(args.rounds):
        print(*row.values(), sep="  ", flush=True)
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

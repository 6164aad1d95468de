"""What a build takes that chooses among candidates, against the build of one form alone.

Each network, of drawn weights and with a free batch, is built for sm89 by TensorRT-RTX, which needs
no GPU: as `simam-build` does without a plugin (`wide` and `portable`, the better kept), and as
`wide` alone, in turns; then once more through a cache that holds the first.

    *_cpu_seconds    processor time, of child processes too; medians of rounds
    *_wall_seconds   what passed on the clock, which other work on the machine stretches
    cpu_ratio, wall_ratio   medians over rounds of candidates by one form

What was expected before it was measured stands in predictions.md.

    python scripts/bench/candidate_cost.py [--rounds 5] [--csv FILE]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from engine_build import write_network
from tables import FACTS, facts, recorded

from simam_deploy.engine.options import EngineOptions
from simam_deploy.pipeline import build as steps

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2")
COLUMNS = (
    *FACTS, "network", "rounds", "candidates_cpu_seconds", "one_cpu_seconds", "cpu_ratio",
    "candidates_wall_seconds", "one_wall_seconds", "wall_ratio", "again_wall_seconds",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "candidate_cost.csv"
ONE = ("wide",)
Times = tuple[float, float]


def timed(onnx: Path, cache: bool = False) -> Times:
    """Build once; give processor time and wall time in seconds."""
    asked = EngineOptions(backend="rtx", targets=("sm89",), plugin="never", cache=cache)
    started, before = time.perf_counter(), os.times()
    steps.build(onnx, onnx.with_suffix(".engine"), asked)
    passed, after = time.perf_counter() - started, os.times()
    return sum(after[:4]) - sum(before[:4]), passed


def measured(onnx: Path, rounds: int) -> dict[str, Any]:
    """Build in turns."""
    several, one = [], []
    for _ in range(rounds):
        several.append(timed(onnx))
        with mock.patch.object(steps, "WITHOUT_PLUGIN", ONE):
            one.append(timed(onnx))
    timed(onnx, cache=True)
    figures: dict[str, float] = {"again_wall_seconds": timed(onnx, cache=True)[1]}
    for place, clock in enumerate(("cpu", "wall")):
        pairs = [(a[place], b[place]) for a, b in zip(several, one, strict=True)]
        figures[f"candidates_{clock}_seconds"] = median(a for a, _ in pairs)
        figures[f"one_{clock}_seconds"] = median(b for _, b in pairs)
        figures[f"{clock}_ratio"] = median(a / b for a, b in pairs)
    return {name: round(figure, 2) for name, figure in figures.items()}


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Measure every network, with a cache of its own."""
    for name in NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            onnx = write_network(name, True, Path(folder))
            with mock.patch.dict(os.environ, {"XDG_CACHE_HOME": folder}):
                figures = measured(onnx, rounds)
        yield {**facts("tensorrt_rtx_cu13"), "network": name, "rounds": rounds, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path, default=RESULTS)
    args = parser.parse_args()
    for row in recorded(args.csv, COLUMNS, rows(args.rounds)):
        print(*(row[column] for column in COLUMNS[len(FACTS) :]), sep="  ", flush=True)


if __name__ == "__main__":
    main()

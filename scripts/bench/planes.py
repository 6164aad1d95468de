"""How far SimAM is from float64 in ONNX Runtime's CPU provider, by lowering, plane and its values.

The figure is the largest error over the largest |y| of the plane, of kinds of planes on which sums
in float32 go wrong: constants and planes of few values, which round the same way at every addition,
and means of 1000 deviations. Planes are `planes` of tests/graph/lower/test_planes.py, and what was
expected before it was measured stands in predictions.md.

    python scripts/bench/planes.py [--csv scripts/bench/results/planes.csv]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import numpy as np
import onnx_ir as ir

from simam_deploy.bench.operator_graphs import published
from simam_deploy.core.arrays import Array
from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.lower.expand import expand
from simam_deploy.op.contract import simam_reference
from tests.graph.lower.test_planes import E_LAMBDA, KINDS, planes
from tests.graph.onnx_text import run, simam_model

SIZES = ((7, 7), (28, 28), (56, 56), (112, 112), (80, 200), (224, 224), (512, 512), (1024, 1024))
SHAPES = {"static": "n,1,{},{}", "free": "n,1,h,w"}
COLUMNS = ("date", "with", "lowering", "size", "shape", *KINDS)
Row = dict[str, str]

ALL: dict[str, Callable[[ir.Model], int]] = {
    "published": lambda model: expand(model, published, rank=0),
    **LOWERINGS,
}


def errors(graph: ir.Model, x: Array) -> Array:
    """Give the error of each plane, (kinds,), over the largest |y| in it."""
    expected = simam_reference(x, E_LAMBDA)
    largest = np.abs(expected).max(axis=(1, 2, 3))
    error: Array = np.abs(run(graph, x=x)[0] - expected).max(axis=(1, 2, 3)) / largest
    return error


def rows() -> Iterator[Row]:
    """Measure each lowering at each size, known and free where it takes that."""
    for size, (shape, text), name in itertools.product(SIZES, SHAPES.items(), ALL):
        if shape == "free" and name in ("published", "instancenorm"):
            continue
        graph = simam_model(text.format(*size), e_lambda=E_LAMBDA)
        ALL[name](graph)
        figures = {k: f"{e:.1e}" for k, e in zip(KINDS, errors(graph, planes(*size)), strict=True)}
        yield {"lowering": name, "size": "{}x{}".format(*size), "shape": shape, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, help="where to put the figures")
    args = parser.parse_args()
    stamp = {
        "date": str(datetime.date.today()),
        "with": f"onnxruntime {importlib.metadata.version('onnxruntime')}",
    }
    measured = []
    for row in rows():
        print(*row.values(), sep="  ", flush=True)
        measured.append({**stamp, **row})
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(measured)


if __name__ == "__main__":
    main()

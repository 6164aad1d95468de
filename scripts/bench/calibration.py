"""How ways to choose an int8 range compare, on the trained digits network.

    least squares   what simam_deploy does
    largest         the largest magnitude (ONNX Runtime's MinMax calibrator)
    percentile      99.999 % of the magnitudes (ONNX Runtime's, as it comes)
    entropy         least Kullback-Leibler divergence (ONNX Runtime's, as it comes)

The pairs are at the same places; the ranges are the only difference. Cost is the RMS change of the
logits over their RMS, on the 360 held-out digits.

    python scripts/bench/calibration.py [--samples 256] [--csv results/calibration.csv]
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime
import importlib.metadata
import io
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator

from simam_deploy import export_onnx
from simam_deploy.graph.file.read import read_model
from simam_deploy.precision.int8.calibrate import calibrate
from simam_deploy.precision.int8.pairs import insert_pairs
from simam_deploy.precision.int8.placement import place
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source.samples import Dataset, open_dataset

sys.path.insert(0, str(Path(__file__).parents[1]))
from train_digits import split

CHECKPOINT = next(Path("examples").glob("digits-*/model_best.pth.tar"))
THEIRS = {
    "largest": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
COLUMNS = ("date", "with", "samples", "method", "seconds", "right", "cost")


class Reader(CalibrationDataReader):
    """Hands a dataset to ONNX Runtime's calibrators."""

    def __init__(self, name: str, dataset: Dataset) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = (
            {name: batch.array} for batch in dataset.batches(32)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Give the next batch, None behind the last."""
        return next(self._feeds, None)


def ours(file: Path, tensors: tuple[str, ...], dataset: Dataset) -> dict[str, float]:
    spreads, _ = calibrate(file, tensors, dataset)
    return {name: spread.best_range() for name, spread in spreads.items()}


def theirs(
    method: CalibrationMethod, file: Path, tensors: tuple[str, ...], dataset: Dataset
) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        calibrator = create_calibrator(
            file,
            ["Conv", "Add"],
            augmented_model_path=str(Path(folder) / "tapped.onnx"),
            calibrate_method=method,
            extra_options={"symmetric": True},
        )
        calibrator.collect_data(Reader("input", dataset))
        found = calibrator.compute_data()
    return {name: float(np.max(np.abs(found[name].range_value))) for name in tensors}


def run_with(file: Path, ranges: Mapping[str, float], images: np.ndarray) -> np.ndarray:
    model = read_model(file)
    insert_pairs(model.graph, place(model), ranges)
    with run_graph(model) as runner:
        return runner.run({"input": images})["logits"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    train, images, _, labels = (part.numpy() for part in split())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = export_onnx(CHECKPOINT, Path(folder) / "digits.onnx").path
        np.save(Path(folder) / "train.npy", train)
        with OnnxRunner(file) as runner:
            spec, exact = runner.inputs[0], runner.run({"input": images})["logits"]
        dataset = open_dataset(Path(folder) / "train.npy", [spec], None, limit=args.samples)
        tensors = tuple(t.name or "" for t in place(read_model(file)).tensors)
        for method in ("least squares", *THEIRS):
            started = time.perf_counter()
            if method in THEIRS:
                ranges = theirs(THEIRS[method], file, tensors, dataset)
            else:
                ranges = ours(file, tensors, dataset)
            seconds = time.perf_counter() - started
            logits = run_with(file, ranges, images)
            cost = np.linalg.norm(logits - exact) / np.linalg.norm(exact)
            row = (
                datetime.date.today().isoformat(),
                f"onnxruntime {importlib.metadata.version('onnxruntime')}",
                len(dataset),
                method,
                f"{seconds:.1f}",
                int((logits.argmax(1) == labels).sum()),
                f"{cost:.4f}",
            )
            rows.append(row)
            print(*row, sep="\t", flush=True)
    if args.csv:
        with args.csv.open("w", newline="") as table:
            csv.writer(table, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()

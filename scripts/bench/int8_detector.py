"""A trained detector in int8: what stays float32, and whether it still detects the same.

The detector of tests/precision/int8 (squares and discs), calibrated and judged on 64 pictures,
run on 64 others: with a free batch, and with a fixed batch of 1.

    layers      convolutions in int8
    left        of those that could be, left in float32 for what the samples say
    worst       of the judged slices, in units of its bound
    found       detections that match a drawn shape, in float32 and in int8
    agree       int8's detections that match one of float32's, of all of either

    python scripts/bench/int8_detector.py [--side 96] [--csv results/int8_detector.csv]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from simam_deploy import NetworkOptions, OnnxOptions, export_onnx
from simam_deploy.runtime.onnx_runner import OnnxRunner

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.precision.int8 import detector

SAMPLES = 64
COLUMNS = ("date", "with", "side", "batch", "layers", "left", "worst", "found", "int8", "agree")


def measure(side: int, dynamic: str, folder: Path) -> tuple[object, ...]:
    """Export in int8 and in float32, and compare what they detect."""
    torch.save(detector.make().state_dict(), folder / "d.pth")
    np.save(folder / "x.npy", detector.pictures(21, SAMPLES, side)[0])
    network = NetworkOptions(
        model="tests.precision.int8.detector:make",
        input_shape=(1, 3, side, side),
        dynamic=dynamic,
    )
    int8 = OnnxOptions(precision="int8", calibration_data=folder / "x.npy")
    exact = export_onnx(folder / "d.pth", folder / "float32.onnx", network=network)
    small = export_onnx(folder / "d.pth", folder / "int8.onnx", onnx=int8, network=network)
    print(*small.notes, sep="\n", flush=True)
    images, truths = detector.pictures(22, SAMPLES, side)
    found, got = (detections(path, images) for path in (exact.path, small.path))
    layers = sum("in int8; in float32" in note and int(note.split()[0]) for note in small.notes)
    left = sum(note.count("on half of the samples loses") for note in small.notes)
    worst = max(r.max_rel / r.allowed for r in small.validation.results if "int8" in r.case)
    hits = [sum(map(detector.matched, each, truths)) for each in (found, got)]
    return layers, left, f"{worst:.2f}", *hits, f"{agreement(found, got):.3f}"


def detections(file: Path, images: np.ndarray) -> list[list[tuple[int, np.ndarray]]]:
    """Run one picture at a time, which any batch takes."""
    with OnnxRunner(file) as runner:
        name = runner.inputs[0].name
        outputs = [next(iter(runner.run({name: image[None]}).values())) for image in images]
    return detector.detections(np.concatenate(outputs))


def agreement(
    found: list[list[tuple[int, np.ndarray]]], got: list[list[tuple[int, np.ndarray]]]
) -> float:
    """Give pairs of alike detections over all: twice the pairs over the sum of both counts."""
    shapes = [[(kind, box[0], box[1], box[2]) for kind, box in picture] for picture in found]
    pairs = sum(map(detector.matched, got, shapes))
    return 2 * pairs / sum(len(picture) for picture in (*found, *got))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    rows = []
    version = f"onnxruntime {importlib.metadata.version('onnxruntime')}"
    for dynamic, batch in (("batch", "free"), ("none", "1")):
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(args.side, dynamic, Path(folder))
        rows.append((datetime.date.today().isoformat(), version, args.side, batch, *figures))
        print(*rows[-1], sep="\t", flush=True)
    if args.csv:
        with args.csv.open("w", newline="") as table:
            csv.writer(table, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()

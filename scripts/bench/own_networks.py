"""Whether networks of somebody's own export, and whether what was exported is proved.

Each is exported, and `validate` holds the file against its source and against itself: 40 of 40 are
to pass, being five networks of `tests/nets`, with drawn and with trained weights, at four sizes,
two of them with free height and width.

    export      "passed", or why it was refused
    source      the file against its source, the same
    itself      the file against itself, the same
    off         of the file in ONNX Runtime, against the source in float64: the largest difference
                of an output over its largest value, on drawn pictures, noise and constant planes;
                of indices, the share that differs
    torch       the same of the source in PyTorch's float32
    plane       as `off`, each plane of an output (axis 1) over its own largest value
    allowed     the bound that `validate` had on the worst output, in its own measure
    seconds     of the export, and of both validations

    python scripts/bench/own_networks.py [--networks ...] [--sizes ...] [--csv FILE]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from tables import FACTS, facts, recorded

from simam_deploy import SimamError, export_onnx
from tests.nets.files import network_options
from tests.nets.judging import Verdict, judge, short
from tests.nets.weights import KINDS, make, shapes, weights

NETWORKS = ("Classifier", "UNet", "Segmenter", "Detector", "ThreeOutputs")
SIZES = {64: "hw", 224: "batch", 512: "hw", 640: "batch"}
"""The input's height and width -> what is free."""
COLUMNS = (
    *FACTS, "network", "weights", "size", "free", "export", "source", "itself",
    "off", "torch", "plane", "allowed", "seconds",
)  # fmt: skip
Outputs = Sequence[np.ndarray]


def inputs(size: int) -> Iterator[np.ndarray]:
    """Give a drawn picture, noise, and constant planes."""
    rng = np.random.default_rng(size)
    yield shapes(1, seed=30_000, size=size)[0]
    yield rng.standard_normal((1, 3, size, size)).astype(np.float32)
    planes = rng.standard_normal((1, 3, 1, 1)).astype(np.float32)
    yield np.ascontiguousarray(np.broadcast_to(planes, (1, 3, size, size)))


def in_torch(network: torch.nn.Module, x: np.ndarray, dtype: torch.dtype) -> Outputs:
    """Run a network in PyTorch."""
    with torch.inference_mode():
        found = network.to(dtype)(torch.from_numpy(x).to(dtype))
    return [each.numpy() for each in (found if isinstance(found, (tuple, list)) else (found,))]


def off(got: Outputs, right: Outputs, by_plane: bool = False) -> float:
    """Give the largest difference over the largest value, of outputs or of planes of them."""
    return max(_off(*pair, by_plane) for pair in zip(got, right, strict=True))


def _off(got: np.ndarray, right: np.ndarray, by_plane: bool) -> float:
    if right.dtype.kind == "i":
        return float((got != right).mean())
    axes = tuple(axis for axis in range(right.ndim) if axis != 1 or not by_plane)
    largest = np.maximum(np.abs(right).max(axes), np.finfo(np.float32).tiny)
    return float((np.abs(got.astype(np.float64) - right).max(axes) / largest).max())


def errors(file: Path, name: str, kind: str, size: int) -> dict[str, str]:
    """Hold a file and PyTorch's float32 against float64."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    network, found = make(name, kind), []
    for x in inputs(size):
        single = in_torch(network, x, torch.float32)
        right = in_torch(network, x, torch.float64)
        ours = session.run(None, {session.get_inputs()[0].name: x})
        found.append((off(ours, right), off(single, right), off(ours, right, by_plane=True)))
    worst = np.max(found, axis=0)
    return dict(zip(("off", "torch", "plane"), (f"{figure:.1e}" for figure in worst), strict=True))


def measure(folder: Path, name: str, kind: str, size: int, free: str) -> dict[str, Any]:
    """Export a network and validate the file: one row."""
    row: dict[str, Any] = {"network": name, "weights": kind, "size": size, "free": free}
    source, asked = weights(folder, name, kind), network_options(name, size, free)
    file = folder / f"{name}-{kind}-{size}.onnx"
    started = time.perf_counter()
    try:
        export_onnx(source, file, network=asked)
    except SimamError as error:
        return {**row, "export": short(error)}
    against_source = judge(source, file, network_options(name, size))
    itself = judge(file, file, None)
    seconds = time.perf_counter() - started
    verdicts = {"export": "passed", "source": _word(against_source), "itself": _word(itself)}
    bound = "" if against_source.allowed is None else f"{against_source.allowed:.1e}"
    timed = {"allowed": bound, "seconds": f"{seconds:.1f}"}
    return {**row, **verdicts, **errors(file, name, kind, size), **timed}


def _word(found: Verdict) -> str:
    if found.caught:
        return short(f"{found.caught}: {found.said}")
    return "not proved" if found.admitted else "passed"


def passed(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is as it must be."""
    return all(row.get(column) == "passed" for column in ("export", "source", "itself"))


def rows(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Measure every network with every kind of weights at every size."""
    known = facts("onnxruntime", "torch")
    for name, kind, size in itertools.product(args.networks, KINDS, args.sizes):
        yield known | measure(folder, name, kind, size, SIZES[size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--sizes", nargs="*", type=int, default=tuple(SIZES), choices=SIZES)
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for row in recorded(args.csv, COLUMNS, rows(args, Path(folder))):
            made.append(passed(row))
            print(*(f"{row.get(name, '')!s:12}" for name in COLUMNS[3:]), flush=True)
    print(f"{sum(made)} of {len(made)}")


if __name__ == "__main__":
    main()

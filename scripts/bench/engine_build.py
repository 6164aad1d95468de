"""What building an engine costs beside the library alone: TensorRT-RTX, which needs no GPU.

    overhead   `simam-build --no-cache` against a process that only parses and builds the same
               .onnx, in turns; medians. Processor time, which other work on the machine does not
               stretch, decides; wall time stands beside it. The goal is 1.3 times bare, plus 2 s.
    rebuilds   whether a second build gives the same bytes.

What is in the plans is told by launches.py and quantised.py. What was expected before it was
measured stands in predictions.md.

    python scripts/bench/engine_build.py [--rounds 5] [--csv scripts/bench/results/engine_build.csv]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from simam_deploy.core.specs import TensorSpec
from simam_deploy.engine.options import EngineOptions
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import for_runtime
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.pipeline.build import build
from simam_deploy.source.forward import Forward
from simam_deploy.source.trace import trace

WHOLE = (
    "resnet18", "resnet50", "mobilenet_v2", "cifar_preresnet56", "wespeaker_simam_resnet34_asp",
)  # fmt: skip
PRECISIONS = ("fp32", "fp16")
TARGET = "sm89"
TIMED = ("resnet18", "resnet50", "mobilenet_v2")
COLUMNS = (
    "date", "machine", "library", "network", "shapes", "precision", "megabytes", "build_seconds",
    "same_bytes", "ours_cpu_seconds", "bare_cpu_seconds", "ratio", "ours_wall_seconds",
    "bare_wall_seconds",
)  # fmt: skip
Row = dict[str, object]

BARE = """
import sys, tensorrt_rtx as trt
logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
parser = trt.OnnxParser(network, logger)
assert parser.parse_from_file(sys.argv[1])
config = builder.create_builder_config()
config.num_compute_capabilities = 1
config.set_compute_capability(trt.ComputeCapability.SM89, 0)
x = network.get_input(0)
profile = builder.create_optimization_profile()
profile.set_shape(x.name, *([n, *tuple(x.shape)[1:]] for n in (1, 8, 32)))
config.add_optimization_profile(profile)
plan = builder.build_serialized_network(network, config)
open(sys.argv[2], "wb").write(memoryview(plan))
"""


def write_network(name: str, dynamic: bool, folder: Path) -> Path:
    """Export a network of drawn weights as `simam-export` does, portable.

    A dynamic one is free in the batch, a speaker network in the frames as well.
    """
    torch.manual_seed(0)
    family = NETWORKS[name].family
    shape: list[int | str] = [1, *family.input_shape]
    if dynamic:
        shape[0] = "batch"
    for axis, symbol in family.dynamic_axes if dynamic and family.name == "wespeaker" else ():
        shape[axis] = symbol
    spec = TensorSpec("input", "float32", tuple(shape))
    sizes = {d: 2 if i == 0 else family.input_shape[i - 1] for i, d in enumerate(shape)
             if isinstance(d, str)}  # fmt: skip
    network = Forward(create(NETWORKS[name]).eval())
    graph = trace(network, (spec,), family.output_names, sizes, opset=18)
    path = folder / f"{name}-{'dynamic' if dynamic else 'static'}.onnx"
    write_model(for_runtime(graph, 18), path)
    return path


def rebuilds(folder: Path) -> Iterator[Row]:
    for name, dynamic in itertools.product(WHOLE, (False, True)):
        onnx = write_network(name, dynamic, folder)
        for precision in PRECISIONS:
            options = EngineOptions(precision=precision, backend="rtx", targets=(TARGET,),
                                    cache=False)  # fmt: skip
            first, second = (build(onnx, folder / f"{n}.engine", options) for n in "ab")
            row = {
                "library": f"tensorrt_rtx {first.version}",
                "network": name,
                "shapes": "dynamic" if dynamic else "static",
                "precision": precision,
                "megabytes": round(first.size / 1e6, 1),
                "build_seconds": round(first.build_seconds, 2),
                "same_bytes": first.path.read_bytes() == second.path.read_bytes(),
            }
            print(*row.values(), flush=True)
            yield row


def overheads(folder: Path, rounds: int) -> Iterator[Row]:
    for name in TIMED:
        onnx = str(write_network(name, True, folder))
        ours = [sys.executable, "-m", "simam_deploy", "build", onnx, "-o", f"{folder}/o.engine",
                "--backend", "rtx", "--target", TARGET, "--no-cache", "-q"]  # fmt: skip
        bare = [sys.executable, "-c", BARE, onnx, f"{folder}/b.engine"]
        times = [(*measure(ours), *measure(bare)) for _ in range(rounds)]
        medians = [round(statistics.median(column), 2) for column in zip(*times, strict=True)]
        mine, my_wall, theirs, their_wall = medians
        row = {
            "network": name,
            "shapes": "dynamic",
            "precision": "fp32",
            "ours_cpu_seconds": mine,
            "bare_cpu_seconds": theirs,
            "ratio": round((mine - 2) / theirs, 2),
            "ours_wall_seconds": my_wall,
            "bare_wall_seconds": their_wall,
        }
        print(f"{name}: {mine} s of processor time, bare {theirs} s; (ours - 2 s) / bare = "
              f"{row['ratio']} (goal 1.3 or less); wall {my_wall} and {their_wall} s")  # fmt: skip
        yield row


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; give processor time, its children's included, and wall time, in seconds."""
    started = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*overheads(Path(folder), args.rounds), *rebuilds(Path(folder))]
    if args.csv:
        write(args.csv, rows)


def write(path: Path, rows: list[Row]) -> None:
    known = {"date": datetime.date.today().isoformat(), "machine": f"{os.cpu_count()} CPU cores"}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({**known, **row} for row in rows)


if __name__ == "__main__":
    main()

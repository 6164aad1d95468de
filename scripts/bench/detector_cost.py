"""What exporting a yolov8n with SimAM costs over a bare torch.onnx.export of it, at 640 x 640.

Both begin with ultralytics' checkpoint, of drawn weights, in a process of their own: bare loads it,
sets the head's export flag and calls torch.onnx.export; `simam-export` gives the validated file.
Rounds alternate. Processor time is what counts where other work keeps the cores busy; the goal, 1.5
times bare and 5 s, holds for it on one thread.

    python scripts/bench/detector_cost.py [--rounds 3] [--csv FILE]

Wants ultralytics (see tests/vendor/test_ultralytics.py).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tables import FACTS, facts, recorded

ROOT = Path(__file__).parent.parent.parent
VENDOR = ROOT / "tests" / "vendor"
COLUMNS = (*FACTS, "what", "processor_s", "wall_s", "of_goal")
SAVE = """
import sys, torch, simam_layers
from ultralytics.nn.tasks import DetectionModel
torch.manual_seed(0)
network = DetectionModel(sys.argv[1], verbose=False).train()
with torch.no_grad():
    for _ in range(4):
        network(torch.rand(4, 3, 160, 160))
network.args = {"task": "detect", "imgsz": 640}
torch.save({"ema": network.eval().half(), "train_args": network.args}, sys.argv[2])
"""
BARE = """
import sys, torch
network = torch.load(sys.argv[1], weights_only=False)["ema"].float().eval()
network.model[-1].export = True
torch.onnx.export(network, (torch.zeros(1, 3, 640, 640),), sys.argv[2], dynamo=True,
                  external_data=False, verbose=False, opset_version=18)
"""


def seconds(*command: str) -> tuple[float, float]:
    """Run Python to its end on one thread: processor time and wall time."""
    paths = os.pathsep.join(map(str, (VENDOR, ROOT)))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - started


def measure(rounds: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Give a row for each of the two, and how much of the goal ours takes."""
    checkpoint, file = str(folder / "best.pt"), str(folder / "best.onnx")
    seconds("-c", SAVE, str(VENDOR / "yolov8n-simam.yaml"), checkpoint)
    simam = ("-m", "simam_deploy", "export", checkpoint, "--trust-pickle", "-o", file)
    commands = {"bare torch.onnx.export": ("-c", BARE, checkpoint, file), "simam-export": simam}
    runs: dict[str, list[tuple[float, float]]] = {what: [] for what in commands}
    for _ in range(rounds):
        for what, command in commands.items():
            runs[what].append(seconds(*command))
    bare = statistics.median(used for used, _ in runs["bare torch.onnx.export"])
    for what, times in runs.items():
        used, wall = (statistics.median(column) for column in zip(*times, strict=True))
        row = {"what": what, "processor_s": round(used, 2), "wall_s": round(wall, 2)}
        goal = {"of_goal": round(used / (1.5 * bare + 5), 2)}
        yield facts("torch", "onnxruntime", "ultralytics") | row | goal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for row in recorded(args.csv, COLUMNS, measure(args.rounds, Path(folder))):
            print(", ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()

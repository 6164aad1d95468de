"""What validation costs: this checkout against another, each on its own export.

    python scripts/bench/validation_cost.py OTHER_CHECKOUT [--rounds 3] [--csv FILE]

Processor time of whole commands (export; validate against the checkpoint), the two checkouts in
turn; the ratio of the medians is what counts.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import torch

from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS

HERE = Path(__file__).parent.parent.parent
NAMES = ("mobilenet_v2", "resnet50")
ENDED = (0, 3)
"""Exit codes of a finished command: 3 is a refusal, which the judge of 2026-11-22 (b0783f6) has for
its own export of mobilenet_v2."""


def checkpoint(name: str, folder: Path) -> Path:
    """Save drawn weights whose batch norms have seen noise, as a trained network's have data."""
    torch.manual_seed(0)
    network = create(NETWORKS[name]).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(4, 3, 64, 64))
    path = folder / f"{name}.pth"
    torch.save(network.state_dict(), path)
    return path


def seconds(checkout: Path, *words: str) -> float:
    """Run a command of a checkout and give the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    code = f"from simam_deploy.cli.{words[0]} import main; import sys; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words[1:]]
    # From inside it: `-c` looks for packages in the working directory before PYTHONPATH.
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True)
    if done.returncode not in ENDED:
        raise SystemExit(done.stderr.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(name: str, other: Path, rounds: int, folder: Path) -> list[dict[str, object]]:
    """Time both commands of both checkouts."""
    source = checkpoint(name, folder)
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for side, checkout in (("other", other), ("this", HERE)):
            file = folder / f"{name}-{side}.onnx"
            runs = {
                "export": ("export", str(source), "-o", str(file), "-q"),
                "validate": ("validate", str(source), str(file), "-q"),
            }
            for what, words in runs.items():
                times.setdefault((what, side), []).append(seconds(checkout, *words))
    rows = []
    for what in ("export", "validate"):
        old, new = (statistics.median(times[what, side]) for side in ("other", "this"))
        rows.append(
            {"network": name, "command": what, "other_s": round(old, 1), "this_s": round(new, 1),
             "ratio": round(new / old, 2), "date": date.today().isoformat()}
        )  # fmt: skip
    return rows


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            rows += measure(name, args.other.resolve(), args.rounds, Path(folder))
            print(*rows[-2:], sep="\n", flush=True)
    if args.csv:
        with args.csv.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()

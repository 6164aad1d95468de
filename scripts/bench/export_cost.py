"""What `simam-export` costs over a bare torch.onnx.export of the same network, in one run.

Prints, for a ResNet-50 with drawn weights: whole-process wall time of the command against a
process that loads the checkpoint and calls torch.onnx.export (with our one-node SimAM, the
faster of the two ways to export it), peak memory in multiples of the checkpoint beyond what
`import torch` takes, and the time of `simam --help`. Rounds alternate, medians are shown.

    python scripts/bench/export_cost.py [--rounds 3] [--network resnet50] [--csv FILE]
"""

import argparse
import csv
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tables import facts

BARE = """
import sys, torch
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
network = NETWORKS[sys.argv[1]]
model = create(network).eval()
model.load_state_dict(torch.load(sys.argv[2], weights_only=True)["state_dict"])
example = torch.zeros(2, *network.family.input_shape)
torch.onnx.export(model, (example,), sys.argv[3], dynamo=True, external_data=False, verbose=False,
                  dynamic_shapes=({0: "batch"},), opset_version=18)
"""
COLUMNS = ("date", "machine", "network", "what", "seconds", "peak_mb")
BARE_NAME = "bare torch.onnx.export"


def save_checkpoint(network: str, path: str) -> None:
    import torch

    from simam_deploy.models.create import create
    from simam_deploy.models.zoo import NETWORKS

    torch.manual_seed(0)
    torch.save({"state_dict": create(NETWORKS[network]).state_dict()}, path)


def measure(*command: str) -> tuple[float, float]:
    """Run a command to its end and give its wall time in seconds and peak memory in MB."""
    started = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1000


def median(runs: list[tuple[float, float]], which: int) -> float:
    return statistics.median(run[which] for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / f"{args.network}.pth"
        # In a process of its own: a child's peak memory starts at its parent's at the fork.
        save = "import sys, export_cost; export_cost.save_checkpoint(*sys.argv[1:])"
        os.environ["PYTHONPATH"] = str(Path(__file__).parent)
        measure(sys.executable, "-c", save, args.network, str(checkpoint))
        figures = report(args.network, checkpoint, args.rounds)
    if args.csv:
        write(args.csv, args.network, figures)


def report(network: str, checkpoint: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Measure, print, and give the median seconds and peak memory of each command."""
    out = str(checkpoint.with_suffix(".onnx"))
    simam = (sys.executable, "-m", "simam_deploy")
    commands = {
        BARE_NAME: (sys.executable, "-c", BARE, network, str(checkpoint), out),
        "simam-export": (*simam, "export", str(checkpoint), "-o", out),
        "import torch": (sys.executable, "-c", "import torch"),
        "simam --help": (*simam, "--help"),
    }
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(measure(*command))
    for name, figures in runs.items():
        print(f"{name:22} {median(figures, 0):7.2f} s {median(figures, 1):7.0f} MB peak")
    ours, bare = median(runs["simam-export"], 0), median(runs[BARE_NAME], 0)
    size = checkpoint.stat().st_size / 1e6
    beyond = median(runs["simam-export"], 1) - median(runs["import torch"], 1)
    print(f"time: (ours - 5 s) / bare = {(ours - 5) / bare:.2f} (goal 1.5 or less)")
    print(f"memory: beyond import torch / {size:.0f} MB = {beyond / size:.2f} (goal 4 or less)")
    return {name: (median(each, 0), median(each, 1)) for name, each in runs.items()}


def write(table: Path, network: str, figures: dict[str, tuple[float, float]]) -> None:
    stamp = facts()
    rows = [
        (stamp["date"], stamp["machine"], network, name, f"{seconds:.2f}", f"{peak:.0f}")
        for name, (seconds, peak) in figures.items()
    ]
    with table.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()

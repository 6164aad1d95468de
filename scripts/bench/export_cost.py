"""What `simam-export` costs: time, processor time and peak memory of whole commands, in one run.

    simam-export         of each network, with drawn weights, on cores that nothing else uses
    beside two burners   the same while two processes keep a core busy each
    bare                 a process that loads the checkpoint and calls torch.onnx.export, with our
                         one-node SimAM, the faster of the two ways to export it
    import torch         what every one of them begins with
    simam --help

Rounds take turns, medians are shown. What was expected stands in predictions.md.

    python scripts/bench/export_cost.py [--rounds 3] [--network NAME ...] [--csv FILE]
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tables import FACTS, facts, recorded

NETWORKS = ("resnet50", "mobilenet_v2", "cifar_preresnet56")
BARE = """
import sys, torch
from simam_deploy.models.attention.simam import as_nodes
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
network = NETWORKS[sys.argv[1]]
model = create(network).eval()
model.load_state_dict(torch.load(sys.argv[2], weights_only=True)["state_dict"])
example = torch.zeros(2, *network.family.input_shape)
with as_nodes(model):
    torch.onnx.export(model, (example,), sys.argv[3], dynamo=True, external_data=False,
                      verbose=False, dynamic_shapes=({0: "batch"},), opset_version=18)
"""
COLUMNS = (*FACTS, "network", "what", "seconds", "processor_s", "peak_mb")


@dataclass(frozen=True)
class Run:
    """What a command took: seconds, of the processors' time, and megabytes at its peak."""

    seconds: float
    processor: float
    peak: float


def save_checkpoint(network: str, path: str) -> None:
    import torch

    from simam_deploy.models.create import create
    from simam_deploy.models.zoo import NETWORKS

    torch.manual_seed(0)
    torch.save({"state_dict": create(NETWORKS[network]).state_dict()}, path)


def measure(*command: str) -> Run:
    """Run a command to its end."""
    started = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    taken = usage.ru_utime + usage.ru_stime
    return Run(time.perf_counter() - started, taken, usage.ru_maxrss / 1000)


@contextlib.contextmanager
def burners(count: int) -> Iterator[None]:
    """Keep cores busy for the block."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in burning:
            each.kill()
            each.wait()


def one_round(network: str, checkpoint: Path) -> dict[str, Run]:
    """Run every command once."""
    out = str(checkpoint.with_suffix(".onnx"))
    simam = (sys.executable, "-m", "simam_deploy")
    export = (*simam, "export", str(checkpoint), "-o", out)
    found = {"simam-export": measure(*export)}
    with burners(2):
        found["beside two burners"] = measure(*export)
    found["bare"] = measure(sys.executable, "-c", BARE, network, str(checkpoint), out)
    found["import torch"] = measure(sys.executable, "-c", "import torch")
    found["simam --help"] = measure(*simam, "--help")
    return found


def rows(networks: list[str], rounds: int) -> Iterator[dict[str, str]]:
    """Give the medians of every network's commands."""
    stamp = facts("torch", "onnxruntime")
    for network in networks:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / f"{network}.pth"
            # In a process of its own: a child's peak memory starts at its parent's at the fork.
            save = "import sys, export_cost; export_cost.save_checkpoint(*sys.argv[1:])"
            measure(sys.executable, "-c", save, network, str(checkpoint))
            made = [one_round(network, checkpoint) for _ in range(rounds)]
        for what in made[0]:
            taken = {
                "seconds": statistics.median(each[what].seconds for each in made),
                "processor_s": statistics.median(each[what].processor for each in made),
                "peak_mb": statistics.median(each[what].peak for each in made),
            }
            written = {key: f"{value:.2f}" for key, value in taken.items()}
            yield {**stamp, "network": network, "what": what, **written}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", nargs="+", default=list(NETWORKS))
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    for row in recorded(args.csv, COLUMNS, rows(args.network, args.rounds)):
        words = f"{row['network']:18} {row['what']:18} {row['seconds']:>7} s"
        print(f"{words} {row['processor_s']:>7} s of processors {row['peak_mb']:>8} MB", flush=True)


if __name__ == "__main__":
    main()

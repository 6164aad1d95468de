"""How the embedded server compares with raw ONNX Runtime, in one run.

    http, grpc     requests a second of CLIENTS clients, one image each, over what ONNX Runtime
                   computes in one thread at the server's batch; and p99 over the median
    crowd          goodput of 150 clients that ask again at once whatever they are told, over
                   that of CLIENTS
    ready          seconds from the start of `simam-serve` to ready, for a resnet18
    second start   processor time until ready of a second start over a first's, whose cache is empty
    pytriton       the server's requests a second over those of nvidia-pytriton's, side by side;
                   needs --pytriton, the Python of an environment that has it

Rounds take turns: raw, http, grpc, crowd, raw; a ratio is within a round, and the figure is the
median over rounds. The client and the server share two cores, and with whatever else runs: that
is printed as `others`, in cores. What was expected stands in predictions.md.

    python scripts/bench/serving.py [--rounds 5] [--seconds 3] [--pytriton PYTHON] [--csv FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
from serving_clients import IMAGE, ask_grpc, ask_http
from serving_process import BATCH, free_port, simam_serve, started
from tables import FACTS, facts, recorded

COLUMNS = (*FACTS, "what", "median", "least", "most")
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
CLIENTS, CROWD = 16, 150
PYTRITON = """
import sys
import numpy as np, onnxruntime as ort
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor, DynamicBatcher
from pytriton.triton import Triton, TritonConfig
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
@batch
def infer(input):
    return session.run(None, {"input": input})
config = TritonConfig(http_port=int(sys.argv[2]), grpc_port=int(sys.argv[3]), metrics_port=int(sys.argv[4]))
with Triton(config=config) as triton:
    triton.bind("digits", infer, [Tensor(name="input", dtype=np.float32, shape=(3, 32, 32))],
                [Tensor(name="logits", dtype=np.float32, shape=(10,))],
                config=ModelConfig(max_batch_size=8, batcher=DynamicBatcher(max_queue_delay_microseconds=500)))
    triton.serve()
"""  # noqa: E501


class Raw:
    """ONNX Runtime in this process, one thread."""

    def __init__(self, path: Path) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def rate(self, seconds: float) -> float:
        """Images a second at the server's batch."""
        batch = np.random.default_rng(0).standard_normal((BATCH, *IMAGE[1:]), np.float32)
        count, started = 0, time.perf_counter()
        while (taken := time.perf_counter() - started) < seconds:
            self.session.run(None, {"input": batch})
            count += BATCH
        return count / taken


def measure(
    path: Path, rounds: int, seconds: float, pytriton: str | None
) -> dict[str, list[float]]:
    raw = Raw(path)
    http, grpc, other = free_port(), free_port(), free_port()
    figures: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(started(simam_serve(path, http, grpc), http, "digits"))
        if pytriton is not None:
            ports = [str(other), str(free_port()), str(free_port())]
            command = [pytriton, "-c", PYTRITON, str(path), *ports]
            stack.enter_context(started(command, other, "digits"))
        for _ in range(rounds):
            found = one_round(raw, http, grpc, other if pytriton else None, seconds)
            print("  ".join(f"{name} {value:.2f}" for name, value in found.items()), flush=True)
            for name, value in found.items():
                figures.setdefault(name, []).append(value)
    return figures


def one_round(
    raw: Raw, http: int, grpc: int, pytriton: int | None, seconds: float
) -> dict[str, float]:
    before, others = raw.rate(seconds), busy_others(raw)
    asyncio.run(ask_http(http, CLIENTS, 0.3))
    over_http = asyncio.run(ask_http(http, CLIENTS, seconds))
    crowd = asyncio.run(ask_http(http, CROWD, seconds))
    over_grpc = asyncio.run(ask_grpc(grpc, CLIENTS, seconds))
    bound = (before + raw.rate(seconds)) / 2
    found = {
        "http": over_http.rate / bound,
        "http p99": over_http.tail,
        "grpc": over_grpc.rate / bound,
        "grpc p99": over_grpc.tail,
        "crowd": crowd.rate / over_http.rate,
        "refused": crowd.statuses[503] / max(1, crowd.statuses[200]),
        "raw images/s": bound,
        "others": others,
    }
    if pytriton is not None:
        theirs = asyncio.run(ask_http(pytriton, CLIENTS, seconds))
        found["pytriton"] = over_http.rate / theirs.rate
    return found


def busy_others(raw: Raw) -> float:
    """Cores that other processes keep busy, while this one keeps one busy for half a second."""

    def ticks() -> float:
        user, nice, system, _, _, irq, soft, *_ = map(
            int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
        )
        return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")

    whole, own, begun = ticks(), time.process_time(), time.perf_counter()
    raw.rate(0.5)
    busy = ticks() - whole - (time.process_time() - own)
    return busy / (time.perf_counter() - begun)


def exported_resnet18(folder: Path) -> Path:
    """Export a resnet18 of drawn weights."""
    import torch

    from simam_deploy.models.create import create
    from simam_deploy.models.zoo import NETWORKS
    from simam_deploy.pipeline.export import export_onnx

    torch.save(create(NETWORKS["resnet18"]).state_dict(), folder / "resnet18.pth")
    return export_onnx(folder / "resnet18.pth").path


def ready_seconds(path: Path, rounds: int) -> list[float]:
    """Start a server, with an empty cache each time."""
    taken = []
    for _ in range(rounds):
        port = free_port()
        command = simam_serve(path, port, free_port())
        with empty_cache(), started(command, port, "resnet18") as (seconds, _):
            taken.append(seconds)
    return taken


def second_starts(path: Path, rounds: int) -> list[float]:
    """Start a server twice a round, and give the second's processor time over the first's."""
    ratios = []
    for _ in range(rounds):
        with empty_cache():
            first, second = (processor_seconds(path) for _ in range(2))
        ratios.append(second / first)
    return ratios


def processor_seconds(path: Path) -> float:
    """Give what a server's process took of all processors until it was ready."""
    port = free_port()
    with started(simam_serve(path, port, free_port()), port, "resnet18") as (_, child):
        said = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    user, system = map(int, said[11:13])
    return (user + system) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def empty_cache() -> Iterator[None]:
    """Have the servers of the block keep what they found out in a folder of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, {"XDG_CACHE_HOME": folder}),
    ):
        yield


def rows(figures: Mapping[str, Sequence[float]]) -> Iterator[dict[str, str]]:
    """Give the median, least and most of every figure."""
    stamp = facts("onnxruntime", "uvicorn")
    for name, values in figures.items():
        found = {"median": statistics.median(values), "least": min(values), "most": max(values)}
        yield {**stamp, "what": name, **{key: f"{value:.2f}" for key, value in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--pytriton", metavar="PYTHON", help="of an environment that has it")
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    from simam_deploy.pipeline.export import export_onnx

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (checkpoint,) = EXAMPLES.glob("digits-*/model_best.pth.tar")
        path = export_onnx(checkpoint, folder / "digits.onnx").path
        figures = measure(path, args.rounds, args.seconds, args.pytriton)
        resnet18 = exported_resnet18(folder)
        figures["ready, s"] = ready_seconds(resnet18, args.rounds)
        figures["second start"] = second_starts(resnet18, args.rounds)
    print("\nmedians (lowest, highest)")
    for row in recorded(args.csv, COLUMNS, rows(figures)):
        print(f"{row['what']:14} {row['median']:>8}  ({row['least']}, {row['most']})")
    if args.pytriton is None:
        print("pytriton: not measured, --pytriton names no environment that has it")


if __name__ == "__main__":
    main()

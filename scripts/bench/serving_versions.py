"""How the embedded server compares with that of another checkout, in one run.

Both serve the digits network in one thread; CLIENTS clients, one image each, ask one and then the
other for `--seconds`, over HTTP and over gRPC, and the order turns from round to round. What is
given is this version's figure over the other's of the same round:

    rate           answers a second
    processor      what the server's threads took of the processors for an answer
    tail           p99 over the median, of this version alone

The two share the machine with their client and with whatever else runs; as rounds are short, that
meets both alike. What was expected stands in predictions.md.

    python scripts/bench/serving_versions.py OTHER [--rounds 40] [--seconds 0.6] [--csv FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from serving_clients import Seen, ask_grpc, ask_http
from serving_process import free_port, simam_serve, started
from tables import FACTS, facts, recorded

ROOT = Path(__file__).parents[2]
COLUMNS = (*FACTS, "other", "protocol", "what", "lower quartile", "median", "upper quartile")
CLIENTS = 16
ASK = {"http": ask_http, "grpc": ask_grpc}


@dataclass(frozen=True)
class Server:
    """A running server: its process, and its port by protocol."""

    pid: int
    ports: Mapping[str, int]

    def processor(self) -> int:
        """Give the nanoseconds that its threads have run; of those that have ended, none."""
        return sum(map(_ran, Path(f"/proc/{self.pid}/task").glob("*/schedstat")))


def _ran(thread: Path) -> int:
    with contextlib.suppress(OSError):  # it has ended
        return int(thread.read_text().split()[0])
    return 0


@contextlib.contextmanager
def server_of(checkout: Path, model: Path) -> Iterator[Server]:
    """Run a checkout's server for the block."""
    ports = {"http": free_port(), "grpc": free_port()}
    command = simam_serve(model, ports["http"], ports["grpc"])
    with (
        mock.patch.dict(os.environ, {"PYTHONPATH": str(checkout)}),
        started(command, ports["http"], "digits") as (_, child),
    ):
        yield Server(child.pid, ports)


def asked(server: Server, protocol: str, seconds: float) -> tuple[Seen, float]:
    """Have clients ask; give what they saw, and the processor time of an answer."""
    before = server.processor()
    seen = asyncio.run(ASK[protocol](server.ports[protocol], CLIENTS, seconds))
    return seen, (server.processor() - before) / len(seen.latencies)


def one_round(
    mine: Server, other: Server, protocol: str, seconds: float, *, turned: bool
) -> dict[str, float]:
    order = (other, mine) if turned else (mine, other)
    found = {id(server): asked(server, protocol, seconds) for server in order}
    (seen, took), (others_seen, others_took) = found[id(mine)], found[id(other)]
    return {"rate": seen.rate / others_seen.rate, "processor": took / others_took,
            "tail": seen.tail}  # fmt: skip


def measure(
    model: Path, other: Path, rounds: int, seconds: float
) -> dict[tuple[str, str], list[float]]:
    figures: dict[tuple[str, str], list[float]] = {}
    with server_of(ROOT, model) as mine, server_of(other, model) as theirs:
        for i in range(rounds):
            for protocol in ASK:
                found = one_round(mine, theirs, protocol, seconds, turned=i % 2 > 0)
                for what, value in found.items():
                    figures.setdefault((protocol, what), []).append(value)
    return figures


def rows(
    figures: Mapping[tuple[str, str], Sequence[float]], other: str
) -> Iterator[dict[str, str]]:
    """Give the median and the middle half of every figure's rounds."""
    stamp = {**facts("onnxruntime", "uvicorn"), "other": other}
    for (protocol, what), values in figures.items():
        lower, median, upper = statistics.quantiles(values, n=4)
        found = {"lower quartile": lower, "median": median, "upper quartile": upper}
        said = {key: f"{value:.3f}" for key, value in found.items()}
        yield {**stamp, "protocol": protocol, "what": what, **said}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("other", type=Path, metavar="OTHER", help="a checkout of another version")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    from simam_deploy.pipeline.export import export_onnx

    commit = ["git", "-C", str(args.other), "rev-parse", "--short", "HEAD"]
    named = subprocess.check_output(commit, text=True).strip()
    (checkpoint,) = (ROOT / "examples").glob("digits-*/model_best.pth.tar")
    with tempfile.TemporaryDirectory() as folder:
        model = export_onnx(checkpoint, Path(folder) / "digits.onnx").path
        figures = measure(model, args.other.resolve(), args.rounds, args.seconds)
    print(f"this version over {named}: medians (middle half of {args.rounds} rounds)")
    for row in recorded(args.csv, COLUMNS, rows(figures, named)):
        words = f"{row['protocol']:5} {row['what']:10} {row['median']:>7}"
        print(f"{words}  ({row['lower quartile']} to {row['upper quartile']})")


if __name__ == "__main__":
    main()

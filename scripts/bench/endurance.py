"""Whether the embedded server holds: what it is asked, by how many, and when it is to end.

    malformed     MALFORMED requests that are no HTTP, no JSON or no request: memory, descriptors
    good          GOOD requests, one in ten over gRPC, after a fifth of them: the same
    classify      CROWD clients that send a picture of 12 million pixels at once: the queue's
                  longest, the most memory, and what became of each
    sigterm       SIGTERMS servers, ended at a random moment under HTTP, gRPC and pictures: how long
                  each took, and what had been asked before the signal and was not answered

Every figure is a bound that the server keeps or does not. What was expected is in predictions.md.

    python scripts/bench/endurance.py [--csv FILE] [--share 1.0]
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from endurance_clients import Asked, bad_requests, classify_all, good_requests, mixed, picture
from serving_process import free_port, simam_serve, started
from tables import FACTS, facts, recorded

COLUMNS = (*FACTS, "part", "what", "value")
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
MALFORMED, GOOD, CROWD, SIGTERMS = 10_000, 100_000, 1_000, 100
DRAIN = 10.0
Figures = Iterator[tuple[str, str, float]]


class Process:
    """What the system says of a server's process."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._proc = Path(f"/proc/{child.pid}")

    def _megabytes(self, key: str) -> float:
        lines = self._proc.joinpath("status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024

    @property
    def resident(self) -> float:
        """MB of memory, now."""
        return self._megabytes("VmRSS")

    @property
    def most(self) -> float:
        """MB, at the most."""
        return self._megabytes("VmHWM")

    @property
    def descriptors(self) -> int:
        """Count them."""
        return len(list(self._proc.joinpath("fd").iterdir()))


def flat(path: Path, share: float) -> Figures:
    """Ask what is wrong, then what is right, of one server."""
    http, grpc = free_port(), free_port()
    with started(simam_serve(path, http, grpc), http, "digits") as (_, child):
        process = Process(child)
        asyncio.run(good_requests(http, grpc, round(GOOD * share / 5)))
        for part, ask, count in (
            ("malformed", bad_requests, MALFORMED),
            ("good", good_requests, GOOD * 4 // 5),
        ):
            time.sleep(1)
            before, descriptors = process.resident, process.descriptors
            answers = asyncio.run(ask(http, grpc, round(count * share)))
            time.sleep(4)  # what lingers is gone
            yield part, "grown, MB", process.resident - before
            yield part, "descriptors more", process.descriptors - descriptors
            for status, times in sorted(answers.items()):
                yield part, f"answered {status}", times


def crowded(path: Path, share: float) -> Figures:
    """Have a crowd ask at once, with the default bounds."""
    http = free_port()
    with started(simam_serve(path, http, free_port()), http, "digits") as (_, child):
        process = Process(child)
        answers, waiting = asyncio.run(classify_all(http, round(CROWD * share)))
        time.sleep(1)
        yield "classify", "waiting, most", waiting
        yield "classify", "resident, most, MB", process.most
        yield "classify", "resident afterwards, MB", process.resident
        for status, times in sorted(answers.items()):
            yield "classify", f"answered {status}", times


def ended(path: Path, share: float) -> Figures:
    """End one server after the other."""
    longest, lost, codes = 0.0, 0, 0
    asked = answered = 0
    rng = np.random.default_rng(0)
    for _ in range(round(SIGTERMS * share)):
        seen, seconds, code = _end_one(path, rng.uniform(0.05, 0.8))
        before = [each for each in seen if each.before]
        longest, codes = max(longest, seconds), codes + (code != 0)
        asked, answered = asked + len(before), answered + sum(each.answered for each in before)
        lost = asked - answered
    yield "sigterm", "asked before the signal", asked
    yield "sigterm", "of them not answered", lost
    yield "sigterm", "longest exit, s", longest
    yield "sigterm", "exits with another code than 0", codes


def _end_one(path: Path, after: float) -> tuple[list[Asked], float, int]:
    http, grpc = free_port(), free_port()
    command = [*simam_serve(path, http, grpc), "--drain-timeout", str(DRAIN)]
    with started(command, http, "digits") as (_, child):

        def end() -> None:
            child.send_signal(signal.SIGTERM)

        seen, signalled = asyncio.run(mixed(http, grpc, after, end))
        code = child.wait(2 * DRAIN)
        return seen, time.monotonic() - signalled, code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of all requests and servers")
    args = parser.parse_args()
    from simam_deploy.pipeline.export import export_onnx

    stamp = facts("onnxruntime", "uvicorn", "grpcio")
    with tempfile.TemporaryDirectory() as name:
        (checkpoint,) = EXAMPLES.glob("digits-*/model_best.pth.tar")
        path = export_onnx(checkpoint, Path(name) / "digits.onnx").path
        picture()  # made once, before anybody's clock runs
        figures = (
            {**stamp, "part": part, "what": what, "value": f"{value:.6g}"}
            for measure in (flat, crowded, ended)
            for part, what, value in measure(path, args.share)
        )
        for row in recorded(args.csv, COLUMNS, figures):
            print(f"{row['part']:12}{row['what']:34}{row['value']:>9}", flush=True)


if __name__ == "__main__":
    main()

"""The process that one model is measured in, and nothing else: a crash in it is its own.

It gets an `Asked` on its command line and orders on a pipe, a line of JSON each, and gives an
answer of a line to each. `bench.process` is the other end.

A network is warm when two runs of 5 in a row have medians within 5 % of each other, after 10 runs
at least: caches, memory pools, thread pools and clocks have settled by then, and torch.compile has
compiled. Patience ends after `PATIENCE` seconds, and the report says so.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from simam_deploy.bench.asked import ENGINE, Asked
from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.memory import peak_memory
from simam_deploy.core.specs import specs_json
from simam_deploy.errors import SimamError
from simam_deploy.runtime.protocol import Runner

WINDOW = 5
NEAR = 0.05
PATIENCE = 10.0
"""Seconds of warming up."""
MOST = 200
"""Runs of one turn."""

Order = Mapping[str, Any]
Answer = dict[str, Any]


def main(asked: str, orders: int, answers: int) -> None:
    """Open the model, and do what is ordered until the pipe ends.

    Args:
        asked: An `Asked` as JSON.
        orders: File descriptor of the pipe to read from.
        answers: Of the pipe to write to.
    """
    # Ctrl-C reaches the whole process group: the parent decides, and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(orders) as incoming, os.fdopen(answers, "w", buffering=1) as outgoing:
        wanted = Asked.from_json(json.loads(asked))
        station: list[_Station] = []
        if not _answer(outgoing, lambda: _open(wanted, station)):
            return
        for line in incoming:
            order = json.loads(line)
            _answer(outgoing, partial(station[0].obey, order))


def _open(asked: Asked, station: list[_Station]) -> Answer:
    from simam_deploy.bench.opening import open_runner

    runner = open_runner(asked)
    station.append(_Station(runner, asked.how))
    return {"runner": runner.name, "inputs": specs_json(runner.inputs)}


def _answer(outgoing: TextIO, work: Callable[[], Answer]) -> bool:
    """Write what came of work, or why nothing did; whether something did."""
    try:
        answer = work()
    except SimamError as error:
        answer = {"error": str(error)}
    except Exception as error:  # a user's own code, or a compiler's, may raise anything
        first = (str(error).strip().splitlines() or [""])[0]
        answer = {"error": f"{type(error).__name__}: {first:.300}"}
    outgoing.write(json.dumps(answer) + "\n")
    return "error" not in answer


class _Station:
    """A model that is open, its feeds by file, and what can be ordered of it."""

    def __init__(self, runner: Runner, how: str) -> None:
        self._runner = runner
        self._how = how
        self._feeds: dict[str, Feeds] = {}

    def obey(self, order: Order) -> Answer:
        """Do what is ordered: "answer", "keep", "warm", "time" or "memory"."""
        orders: Mapping[str, Callable[[Order], Answer]] = {
            "answer": self._first,
            "keep": self._keep,
            "warm": self._warm,
            "time": self._time,
            "memory": lambda order: {"peak": peak_memory()},
        }
        return orders[order["do"]](order)

    def _given(self, order: Order) -> Feeds:
        """Read the arrays of an order once, in the types of the inputs."""
        from simam_deploy.bench.inputs import named

        file = order["feeds"]
        if file not in self._feeds:
            self._feeds[file] = named(self._runner.inputs, read_arrays(Path(file)))
        return self._feeds[file]

    def _first(self, order: Order) -> Answer:
        self._runner.run(self._given(order))
        return {"processor": time.process_time()}

    def _keep(self, order: Order) -> Answer:
        """Run once, and keep the outputs in a file, in their order."""
        got = self._runner.run(self._given(order))
        write_arrays(Path(order["outputs"]), [got[spec.name] for spec in self._runner.outputs])
        return {"outputs": [spec.name for spec in self._runner.outputs]}

    def _warm(self, order: Order) -> Answer:
        feeds, taken = self._given(order), list[float]()
        until = time.perf_counter() + PATIENCE
        for clocks in self._clocks(feeds):
            taken.append(clocks[0])
            if is_stable(taken) or time.perf_counter() > until:
                break
        return {"runs": len(taken), "stable": is_stable(taken)}

    def _time(self, order: Order) -> Answer:
        """Run once more to have the caches back from whoever had the turn before; then time."""
        runs, budget = self._clocks(self._given(order)), 1e3 * order["seconds"]
        next(runs)
        taken = [next(runs)]
        # By the processor's time: on a machine that others keep busy one run may fill a turn's
        # wall time, and a median of one is no median.
        while sum(t[1] for t in taken) < budget and len(taken) < MOST:
            taken.append(next(runs))
        return {"wall": [t[0] for t in taken], "processor": [t[1] for t in taken]}

    def _clocks(self, feeds: Feeds) -> Iterator[tuple[float, float]]:
        """Run without end: milliseconds by the wall's clock and by the processor's."""
        if self._how == ENGINE:
            yield from _on_gpu(self._runner, feeds)
        while True:
            wall, processor = time.perf_counter(), time.process_time()
            self._runner.run(feeds)
            used = time.process_time() - processor
            yield 1e3 * (time.perf_counter() - wall), 1e3 * used


def _on_gpu(runner: Any, feeds: Feeds) -> Iterator[tuple[float, float]]:
    """Time an engine by the GPU's own events, without copies from and to the host."""
    shapes = {name: array.shape for name, array in feeds.items()}
    while True:
        for taken in runner.latencies(shapes, runs=1, warm_up=0):
            yield taken, taken


def is_stable(taken: Sequence[float]) -> bool:
    """Tell whether the last two windows of runs took alike."""
    if len(taken) < 2 * WINDOW:
        return False
    before, now = taken[-2 * WINDOW : -WINDOW], taken[-WINDOW:]
    return abs(statistics.median(now) / statistics.median(before) - 1) < NEAR


def write_arrays(file: Path, arrays: Sequence[Array]) -> None:
    """Write arrays in their order; bfloat16, which files do not know, as float32."""
    import numpy as np

    known = [a if a.dtype.kind in "fiub" else a.astype(np.float32) for a in arrays]
    with file.open("wb") as out:
        np.savez(out, *known)


def read_arrays(file: Path) -> list[Array]:
    """Read what `write_arrays` wrote."""
    import numpy as np

    with np.load(file) as archive:
        return [archive[name] for name in archive.files]


def command(asked: Asked, orders: int, answers: int) -> Iterator[str]:
    """Give the command line of this process; it searches modules where its parent does."""
    yield sys.executable
    yield "-c"
    yield (
        "import sys; sys.path[:] = sys.argv[1].split(chr(10)); "
        "from simam_deploy.bench.worker import main; "
        "main(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))"
    )
    yield "\n".join(sys.path)
    yield json.dumps(asked.to_json())
    yield from (str(orders), str(answers))

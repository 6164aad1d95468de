"""The process in which ways of computing SimAM take turns with a copy of the same map."""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from simam_deploy.bench.operator_graphs import IN_A_ROW, TYPES, row_of_sites, ways_of

COPY = "copy"
IN_TORCH = "torch"
_TURN = 0.01
"""Seconds of a turn, at least."""
_MOST = 50
Run = Callable[[], Any]


def main(shape: str, precision: str, rounds: int, pipe: int) -> None:
    """Measure every way at one shape, and write what each round took as JSON.

    Args:
        shape: (N, C, H, W) as JSON.
        precision: A key of `TYPES`.
        rounds: How many.
        pipe: File descriptor to write to.
    """
    sizes = tuple(json.loads(shape))
    runs, reasons = dict[str, Run](), dict[str, str]()
    for way, make in _makers(sizes, precision):
        try:
            runs[way] = make()
            runs[way]()
        except Exception as error:  # a runtime's own, and what it has no kernel for
            runs.pop(way, None)
            reasons[way] = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    with os.fdopen(pipe, "w") as answers:
        json.dump({"milliseconds": _turns(runs, rounds), "reasons": reasons}, answers)


def _makers(shape: tuple[int, ...], precision: str) -> Iterator[tuple[str, Callable[[], Run]]]:
    """Name every way, and what prepares it; each run computes `IN_A_ROW` operators."""
    yield COPY, lambda: _copies(shape, precision)
    model = row_of_sites(shape, precision)
    yield from ways_of(model)
    yield IN_TORCH, lambda: _in_torch(shape, precision)


def _copies(shape: tuple[int, ...], precision: str) -> Run:
    # Bytes: numpy copies float16 an element at a time.
    size = math.prod(shape) * np.dtype(TYPES[precision][1]).itemsize
    maps = [np.ones(size, np.uint8) for _ in range(IN_A_ROW + 1)]

    def run() -> None:
        for source, target in itertools.pairwise(maps):
            np.copyto(target, source)

    return run


def _in_torch(shape: tuple[int, ...], precision: str) -> Run:
    import torch

    from simam_deploy.op.torch import simam

    torch.set_num_threads(1)
    x = torch.randn(shape).to(getattr(torch, TYPES[precision][1]))

    def run() -> None:
        with torch.inference_mode():
            y = x
            for _ in range(IN_A_ROW):
                y = simam(y, 0.1)

    return run


def _turns(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Give by way the processor's milliseconds of one operator in each round.

    The order moves on by one in every round, and the first run of a turn does not count.
    """
    taken: dict[str, list[float]] = {way: [] for way in runs}
    ways = list(runs)
    for number in range(rounds):
        by = number % len(ways)
        for way in [*ways[by:], *ways[:by]]:
            taken[way].append(_turn(runs[way]))
    return taken


def _turn(run: Run) -> float:
    run()
    until, taken = time.perf_counter() + _TURN, list[float]()
    while not taken or (time.perf_counter() < until and len(taken) < _MOST):
        started = time.thread_time()
        run()
        taken.append(1e3 * (time.thread_time() - started) / IN_A_ROW)
    return statistics.median(taken)


def command(shape: tuple[int, ...], precision: str, rounds: int, pipe: int) -> Iterator[str]:
    """Give the command line of this process; it searches modules where its parent does."""
    yield sys.executable
    yield "-c"
    yield (
        "import sys; sys.path[:] = sys.argv[1].split(chr(10)); "
        "from simam_deploy.bench.operator_turns import main; "
        "main(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))"
    )
    yield "\n".join(sys.path)
    yield from (json.dumps(shape), precision, str(rounds), str(pipe))

"""Times of what is launched on a GPU; dry, of the same calls on the host."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import torch

from gpu.setting import Setting

Given = TypeVar("Given")
LONG_ENOUGH = 20.0
"""Milliseconds of replays that a time is taken of."""
MOST_REPLAYS = 1024


class Launches(Protocol):
    """What was captured: some launches, to be done again."""

    def replay(self) -> None:
        """Launch them all."""
        ...


class _Calls:
    """The same on the host."""

    def __init__(self, run: Callable[[Given], object], sets: Sequence[Given]) -> None:
        self._run, self._sets = run, sets

    def replay(self) -> None:
        for given in self._sets:
            self._run(given)


def capture(run: Callable[[Given], object], sets: Sequence[Given], setting: Setting) -> Launches:
    """Capture one launch on each set; each result has memory of its own."""
    if setting.dry:
        return _Calls(run, sets)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run(sets[0])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    kept = []
    with torch.cuda.graph(graph):
        for given in sets:
            kept.append(run(given))
    return graph


def turn(launches: Launches, count: int, setting: Setting) -> float:
    """Give the microseconds of one launch of `count` in 20 ms or so of replays."""
    if setting.dry:
        return 1e3 * _on_host(launches, 1) / count
    replays = 1
    while True:
        taken = _on_device(launches, replays)
        if taken > LONG_ENOUGH or replays >= MOST_REPLAYS:
            return taken * 1e3 / (replays * count)
        replays *= 2


def _on_device(launches: Launches, replays: int) -> float:
    """Give milliseconds by the device's own events."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(replays):
        launches.replay()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


def _on_host(launches: Launches, replays: int) -> float:
    start = time.perf_counter()
    for _ in range(replays):
        launches.replay()
    return 1e3 * (time.perf_counter() - start)


def medians(
    contenders: Mapping[str, Callable[[Given], object]],
    sets: Sequence[Given],
    rounds: int,
    setting: Setting,
) -> dict[str, float]:
    """Give each contender's microseconds a launch; they take turns in every round."""
    captured = {name: capture(run, sets, setting) for name, run in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in captured}
    for name in [*captured] * rounds:
        times[name].append(turn(captured[name], len(sets), setting))
    return {name: statistics.median(taken) for name, taken in times.items()}

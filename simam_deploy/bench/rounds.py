"""Models taking turns: starts of fresh processes, rounds within a start, turns within a round.

Whatever slows the machine for a while slows everybody's turns; what a process has for its life,
another start has otherwise (`bench.ratio`). In every round the order moves on by one, so that none
always follows the same other.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from simam_deploy.bench.asked import Asked
from simam_deploy.bench.process import Worker
from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError

TURN = 0.05
"""Seconds of processor time in a turn, at least: ten runs of a small network, one of a large."""
_Each = TypeVar("_Each")


@dataclass(frozen=True)
class Schedule:
    """How much is measured.

    Attributes:
        batches: Rows of a run.
        starts: Of a process for each model, one set of them after another.
        rounds: At each batch, over all starts; at least one in each.
        seconds: For the rounds of all starts and batches together, in place of their number.
    """

    batches: tuple[int, ...] = (1,)
    starts: int = 7
    rounds: int = 70
    seconds: float | None = None

    def turns(self) -> Iterator[int]:
        """Number the rounds of one start at one batch, as long as there are to be any."""
        if self.seconds is None:
            yield from range(math.ceil(self.rounds / self.starts))
            return
        until = time.perf_counter() + self.seconds / (self.starts * len(self.batches))
        for number in itertools.count():
            yield number
            if time.perf_counter() >= until:
                return


@dataclass
class Start:
    """What one process took at one batch, in milliseconds."""

    warm_runs: int
    stable: bool
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    wall_rounds: list[float] = field(default_factory=list)
    processor_rounds: list[float] = field(default_factory=list)

    def add(self, wall: Sequence[float], processor: Sequence[float]) -> None:
        """Add a turn."""
        self.wall += wall
        self.processor += processor
        self.wall_rounds.append(statistics.median(wall))
        self.processor_rounds.append(statistics.median(processor))


@dataclass
class Figures:
    """What is known of one model so far.

    Attributes:
        asked: The model.
        runner: What runs it.
        cold: Seconds to the first answer, and those of processor time, a start each.
        peaks: Bytes, a start each.
        starts: By batch.
        reasons: Why not, by batch.
        reason: Why not at all.
    """

    asked: Asked
    runner: str = ""
    cold: list[tuple[float, float]] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    starts: dict[int, list[Start]] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    reason: str = ""

    def runs_at(self, batch: int) -> bool:
        """Tell whether nothing is known against it."""
        return not self.reason and batch not in self.reasons


def first_of(figures: Sequence[Figures]) -> Figures:
    """Give the model that ratios are to: the first of which anything was timed."""
    timed = (each for each in figures if any(each.starts.values()))
    return next(timed, figures[0])


@dataclass(frozen=True)
class Watcher:
    """Who is told while models are measured.

    Attributes:
        progress: Each step.
        opened: A set of processes that has answered, the first time; before anything is timed.
        measured: Of a batch, when a start of it is done.
    """

    progress: Progress
    opened: Callable[[Mapping[str, Worker]], None]
    measured: Callable[[int, int], None]


def measure(
    figures: Sequence[Figures], feeds: Mapping[int, Path], schedule: Schedule, watcher: Watcher
) -> None:
    """Measure; what is known is in the figures whenever this ends, by an exception as well.

    Args:
        figures: Of every model, to be added to.
        feeds: By batch, the file of the arrays (`bench.worker.write_arrays`).
        schedule: How much.
        watcher: Who is told.
    """
    for start in range(schedule.starts):
        watcher.progress(f"start {start + 1} of {schedule.starts}")
        with contextlib.ExitStack() as stack:
            workers = dict(_opened(_turned(figures, start), feeds, stack))
            if start == 0:
                watcher.opened(workers)
            for batch in schedule.batches:
                _measure_batch(figures, workers, batch, (feeds[batch], schedule))
                watcher.measured(start, batch)
            for each in figures:
                if each.asked.name in workers and not each.reason:
                    _note_memory(each, workers[each.asked.name])


def _opened(
    figures: Iterable[Figures], feeds: Mapping[int, Path], stack: contextlib.ExitStack
) -> Iterator[tuple[str, Worker]]:
    """Start a process for each model that can be run, and have its first answer."""
    for each in figures:
        if each.reason:
            continue
        try:
            worker = stack.enter_context(Worker(each.asked))
        except InputError as error:
            each.reason = str(error)
            continue
        each.runner = worker.name
        if _answered(each, worker, feeds):
            yield each.asked.name, worker


def _answered(figures: Figures, worker: Worker, feeds: Mapping[int, Path]) -> bool:
    """Have the first answer, at the first batch that the model takes."""
    for batch, file in feeds.items():
        if figures.runs_at(batch):
            try:
                figures.cold.append(worker.first_answer(file))
                return True
            except InputError as error:
                figures.reasons[batch] = str(error)
    return False


def _measure_batch(
    figures: Sequence[Figures],
    workers: Mapping[str, Worker],
    batch: int,
    given: tuple[Path, Schedule],
) -> None:
    feeds, schedule = given
    running = {}
    for each in figures:
        worker = workers.get(each.asked.name)
        if worker is not None and each.runs_at(batch):
            with _noted(each, batch):
                warm = worker.order("warm", feeds=feeds)
                each.starts.setdefault(batch, []).append(Start(warm["runs"], warm["stable"]))
                running[each.asked.name] = each
    for number in schedule.turns():
        for each in _turned(list(running.values()), number):
            if each.runs_at(batch):
                with _noted(each, batch):
                    order = {"feeds": feeds, "seconds": TURN}
                    taken = workers[each.asked.name].order("time", **order)
                    each.starts[batch][-1].add(taken["wall"], taken["processor"])


@contextlib.contextmanager
def _noted(figures: Figures, batch: int) -> Iterator[None]:
    """Note why a model does not run at a batch, and go on with the others."""
    try:
        yield
    except InputError as error:
        figures.reasons[batch] = str(error)


def _note_memory(figures: Figures, worker: Worker) -> None:
    with contextlib.suppress(InputError):  # its process ended, which is noted at its batch
        peak = worker.order("memory")["peak"]
        figures.peaks += [] if peak is None else [peak]


def _turned(items: Sequence[_Each], by: int) -> list[_Each]:
    """Give items in an order that begins `by` places later."""
    by %= len(items) or 1
    return [*items[by:], *items[:by]]

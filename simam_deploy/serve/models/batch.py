"""One batch: requests of one shape put together, run, and their results taken apart by rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.runtime.protocol import Runner
from simam_deploy.serve.models.seen import Seen
from simam_deploy.serve.models.statistics import Timing

Outputs = Feeds


@dataclass(eq=False, slots=True)
class Job:
    """A request that waits or is being computed; `done` gets its outputs and how long they took.

    `seen` is told which batch it went into, if somebody looks.
    """

    feeds: Feeds
    rows: int
    line: Hashable
    queued_at: int
    done: asyncio.Future[tuple[Outputs, Timing]]
    seen: Seen | None = None


def run_batch(runner: Runner, jobs: list[Job], *, split: bool) -> tuple[list[Outputs], Timing]:
    """Put requests together, run them, and take the results apart by rows.

    Args:
        runner: The model.
        jobs: The requests; their inputs differ in their rows alone.
        split: Whether rows are taken apart; without it there is one request, and its outputs may
            have any rows.

    Returns:
        The outputs of every request, and when each step was done.

    Raises:
        RuntimeError: An output has not the rows that went in.
    """
    taken = time.perf_counter_ns()
    feeds = {name: _gathered([job.feeds[name] for job in jobs]) for name in jobs[0].feeds}
    gathered = time.perf_counter_ns()
    outputs = runner.run(feeds)
    computed = time.perf_counter_ns()
    results: list[Outputs] = _apart(outputs, jobs) if split else [outputs]
    return results, Timing(taken, gathered, computed, time.perf_counter_ns())


def _gathered(arrays: list[Array]) -> Array:
    """Join along the first axis; a view of a request's bytes may lie at any address."""
    if len(arrays) > 1:
        return np.concatenate(arrays)
    return arrays[0] if arrays[0].flags.aligned else arrays[0].copy()


def _apart(outputs: Outputs, jobs: list[Job]) -> list[Outputs]:
    rows = sum(job.rows for job in jobs)
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != rows:
            raise RuntimeError(f"output {name} has shape {array.shape} for {rows} rows")
    results: list[Outputs] = []
    start = 0
    for job in jobs:
        results.append({name: array[start : start + job.rows] for name, array in outputs.items()})
        start += job.rows
    return results

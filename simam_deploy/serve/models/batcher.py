"""Dynamic batching: a bounded queue that threads, one per copy of the model, take batches from.

The threads take for themselves, at the moment they are free, so a batch holds all that came while
the one before it was computed; nothing waits for the event loop between two batches. Requests of
different shapes wait in lines of their own, and the line whose first has waited longest is next.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.runtime.protocol import Runner
from simam_deploy.serve.models.statistics import Statistics, Timing
from simam_deploy.serve.protocol.refusals import BadRequest, Busy, ModelFailed, Refusal, TimedOut

Outputs = Feeds
Result = Outputs | Refusal


@dataclass(frozen=True)
class Limits:
    """The batcher's bounds.

    Attributes:
        max_batch: Rows in a batch; None where requests are never put together.
        max_delay_us: Microseconds that the first of a line waits for its batch to fill.
        max_queue: Requests that may wait.
        timeout: Seconds from arrival to answer.
    """

    max_batch: int | None
    max_delay_us: int
    max_queue: int
    timeout: float


@dataclass(eq=False, slots=True)
class Job:
    """A request that waits or is being computed."""

    feeds: Feeds
    rows: int
    line: Hashable
    queued_at: int
    done: asyncio.Future[Outputs]


class Batcher:
    """Runs requests of one model on its runners.

    Args:
        runners: Copies of the model; each gets a thread. They are closed with the batcher.
        limits: The bounds.
        statistics: Counts what happens.

    All methods but `close` are for the event loop's thread.
    """

    def __init__(
        self, runners: Sequence[Runner], limits: Limits, statistics: Statistics, name: str
    ) -> None:
        self.limits = limits
        self._statistics = statistics
        self._lines: dict[Hashable, deque[Job]] = {}
        self._queued = 0
        self._closing = False
        self._changed = threading.Condition()
        self._runners = runners
        self._threads = [
            threading.Thread(target=self._work, args=(runner,), name=f"{name}-{i}", daemon=True)
            for i, runner in enumerate(runners)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued(self) -> int:
        """Count the requests that wait."""
        return self._queued

    def check_room(self) -> None:
        """See whether one more request may wait.

        Raises:
            Busy: It may not.
        """
        if self._queued >= self.limits.max_queue:
            self._statistics.refused += 1
            raise Busy(f"the queue of {self.limits.max_queue} requests is full")

    async def run(self, feeds: Feeds, timeout: float | None = None) -> Outputs:
        """Compute a request, in a batch with others that fit it.

        Args:
            feeds: One array per input.
            timeout: Seconds, if less than the batcher's own.

        Raises:
            BadRequest: Its inputs differ in rows, or it has more than fit a batch.
            Busy: The queue is full.
            TimedOut: It took too long; a model that computes already cannot be stopped, but its
                result is dropped.
            ModelFailed: The runtime raised on this request.
            CancelledError: The caller went away; the request leaves the queue.
        """
        started = time.perf_counter_ns()
        try:
            return await self._run(feeds, timeout)
        except Refusal:
            self._statistics.fail.add(time.perf_counter_ns() - started)
            raise

    async def _run(self, feeds: Feeds, timeout: float | None) -> Outputs:
        rows = self._rows(feeds)
        self.check_room()
        loop = asyncio.get_running_loop()
        line = tuple(feeds[name].shape[1:] for name in sorted(feeds))
        job = Job(feeds, rows, line, time.perf_counter_ns(), loop.create_future())
        self._enqueue(job)
        seconds = min(timeout or self.limits.timeout, self.limits.timeout)
        timer = loop.call_later(seconds, _expire, job.done, seconds)
        try:
            return await job.done
        finally:
            timer.cancel()
            self._discard(job)

    def _rows(self, feeds: Feeds) -> int:
        """Count the rows of a request.

        Raises:
            BadRequest: Its inputs differ, or it has too many.
        """
        if self.limits.max_batch is None:
            return 1
        rows = {array.shape[0] for array in feeds.values()}
        if len(rows) != 1:
            raise BadRequest(f"the inputs' first dimensions differ: {sorted(rows)}")
        count = int(rows.pop())
        if count > self.limits.max_batch:
            raise BadRequest(
                f"inference request batch-size must be <= {self.limits.max_batch}, got {count}"
            )
        return count

    def _enqueue(self, job: Job) -> None:
        with self._changed:
            line = self._lines.setdefault(job.line, deque())
            line.append(job)
            self._queued += 1
            # A thread that waits for a batch to fill is woken for a first request and a full
            # batch, not for each one between.
            if len(line) == 1 or self._full(line):
                self._changed.notify()

    def _discard(self, job: Job) -> None:
        """Take a request that timed out or lost its caller from the queue, if it is still there."""
        if _succeeded(job.done):
            return
        with self._changed:
            line = self._lines.get(job.line)
            if line is not None and job in line:
                line.remove(job)
                self._queued -= 1
                self._forget_if_empty(job.line)

    def _forget_if_empty(self, key: Hashable) -> None:
        if not self._lines[key]:
            del self._lines[key]

    def _full(self, line: deque[Job]) -> bool:
        if self.limits.max_batch is None:
            return True
        return sum(job.rows for job in line) >= self.limits.max_batch

    def _take(self) -> list[Job]:
        """Wait for a batch; an empty one means that the batcher is closed and nothing is left."""
        with self._changed:
            while self._lines or not self._closing:
                key = min(self._lines, key=self._waiting_since, default=None)
                if key is None:
                    self._changed.wait()
                    continue
                ready = next((k for k in self._lines if self._full(self._lines[k])), None)
                due = self._waiting_since(key) + self.limits.max_delay_us * 1000
                left = due - time.perf_counter_ns()
                if left <= 0 or self._closing:
                    return self._cut(key)
                if ready is not None:
                    return self._cut(ready)
                self._changed.wait(left / 1e9)
            return []

    def _waiting_since(self, key: Hashable) -> int:
        return self._lines[key][0].queued_at

    def _cut(self, key: Hashable) -> list[Job]:
        """Take as many of a line's requests as fit one batch, in their order."""
        line = self._lines[key]
        jobs = [line.popleft()]
        rows = jobs[0].rows
        while line and self.limits.max_batch and rows + line[0].rows <= self.limits.max_batch:
            jobs.append(line.popleft())
            rows += jobs[-1].rows
        self._queued -= len(jobs)
        self._forget_if_empty(key)
        return jobs

    def _work(self, runner: Runner) -> None:
        """Compute batches until the batcher closes."""
        while jobs := self._take():
            self._compute(runner, jobs)

    def _compute(self, runner: Runner, jobs: list[Job]) -> None:
        """Run a batch; if it fails, every request of it alone, so that only the bad one fails."""
        try:
            results, timing = _run_batch(runner, jobs, split=self.limits.max_batch is not None)
        except Exception as error:  # whatever a runtime raises
            if len(jobs) > 1:
                for job in jobs:
                    self._compute(runner, [job])
                return
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            self._deliver(jobs, [ModelFailed(f"the model failed: {reason}")], None)
        else:
            self._deliver(jobs, results, timing)

    def _deliver(self, jobs: list[Job], results: Sequence[Result], timing: Timing | None) -> None:
        loop = jobs[0].done.get_loop()
        loop.call_soon_threadsafe(self._settle, jobs, results, timing)

    def _settle(self, jobs: list[Job], results: Sequence[Result], timing: Timing | None) -> None:
        """Hand results out and count them, in the event loop."""
        now = time.perf_counter_ns()
        if timing is not None:
            self._statistics.count_batch(sum(job.rows for job in jobs), timing)
            self._statistics.last_ms = time.time_ns() // 1_000_000
        for job, result in zip(jobs, results, strict=True):
            if timing is not None:
                self._statistics.count_request(job.queued_at, timing, now)
            if job.done.done():
                continue
            if isinstance(result, Refusal):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)

    def close(self) -> None:
        """Compute what is queued, end the threads and free the runners; blocks until then."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for runner in self._runners:
            runner.close()


def _succeeded(done: asyncio.Future[Outputs]) -> bool:
    return done.done() and not done.cancelled() and done.exception() is None


def _expire(done: asyncio.Future[Outputs], seconds: float) -> None:
    if not done.done():
        done.set_exception(TimedOut(f"no result within {seconds:g} s"))


def _run_batch(runner: Runner, jobs: list[Job], split: bool) -> tuple[list[Outputs], Timing]:
    """Put requests together, run them, and take the results apart by rows.

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

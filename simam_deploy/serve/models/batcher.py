"""Dynamic batching: who is let in, who computes what waits, and how each is answered."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from simam_deploy.core.arrays import Feeds
from simam_deploy.runtime.protocol import Runner
from simam_deploy.serve.models.batch import Job, Outputs, run_batch
from simam_deploy.serve.models.lines import Limits, Lines
from simam_deploy.serve.models.seen import join, looked_at
from simam_deploy.serve.models.statistics import Statistics, Timing
from simam_deploy.serve.protocol.refusals import BadRequest, Busy, ModelFailed, Refusal, TimedOut


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
        self._lines = Lines(limits)
        self._prepared = 0
        self._runners = runners
        self._threads = [
            threading.Thread(target=self._work, args=(runner,), name=f"{name}-{i}", daemon=True)
            for i, runner in enumerate(runners)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued(self) -> int:
        """Count the requests that wait for a thread."""
        return self._lines.waiting

    @property
    def waiting(self) -> int:
        """Count those, and the ones that are made ready to."""
        return self._lines.waiting + self._prepared

    def check_room(self) -> None:
        """See whether one more request may wait.

        Raises:
            Busy: It may not.
        """
        if self.waiting >= self.limits.max_queue:
            self._statistics.refused += 1
            raise Busy(f"the queue of {self.limits.max_queue} requests is full")

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Have a place in the queue while inputs are made ready, as from a picture.

        Raises:
            Busy: There is none.
        """
        self.check_room()
        self._prepared += 1
        try:
            yield
        finally:
            self._prepared -= 1

    async def run(self, feeds: Feeds, timeout: float | None = None, spent: float = 0.0) -> Outputs:
        """Compute a request, in a batch with others that fit it.

        Args:
            feeds: One array per input.
            timeout: Seconds, if less than the batcher's own.
            spent: Seconds of them that are over already.

        Raises:
            BadRequest: Its inputs differ in rows, or it has more than fit a batch.
            Busy: The queue is full, or the batcher was closed.
            TimedOut: It took too long; a model that computes already cannot be stopped, but its
                result is dropped.
            ModelFailed: The runtime raised on this request.
            CancelledError: The caller went away; the request leaves the queue.
        """
        job = self._accept(feeds)
        # Counted here alone, where the asker is told or is gone: what a batch came to says nothing
        # of a request that ran out of time while it was computed.
        try:
            outputs, timing = await self._done(job, timeout, spent)
        except BaseException:
            self._statistics.fail.add(time.perf_counter_ns() - job.queued_at)
            raise
        self._statistics.count_request(job.queued_at, timing, time.perf_counter_ns())
        return outputs

    def _accept(self, feeds: Feeds) -> Job:
        """Queue a request; what is refused here is no failure of the model's."""
        rows = self._rows(feeds)
        self.check_room()
        done = asyncio.get_running_loop().create_future()
        line = tuple(feeds[name].shape[1:] for name in sorted(feeds))
        seen = looked_at.get()
        job = Job(feeds, rows, line, time.perf_counter_ns(), done, seen)
        if seen is not None:
            seen.rows, seen.queued_at = rows, job.queued_at
        self._lines.put(job)
        return job

    async def _done(self, job: Job, timeout: float | None, spent: float) -> tuple[Outputs, Timing]:
        seconds = min(timeout or self.limits.timeout, self.limits.timeout)
        timer = job.done.get_loop().call_later(seconds - spent, _expire, job.done, seconds)
        try:
            return await job.done
        finally:
            timer.cancel()
            self._lines.discard(job)

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

    def _work(self, runner: Runner) -> None:
        """Compute batches until the batcher closes."""
        while jobs := self._lines.take():
            self._compute(runner, jobs)

    def _compute(self, runner: Runner, jobs: list[Job]) -> None:
        """Run a batch; if it fails, every request of it alone, so that only the bad one fails."""
        loop = jobs[0].done.get_loop()
        try:
            results, timing = run_batch(runner, jobs, split=self.limits.max_batch is not None)
        except Exception as error:  # whatever a runtime raises
            if len(jobs) > 1:
                for job in jobs:
                    self._compute(runner, [job])
                return
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            failed = ModelFailed(f"the model failed: {reason}")
            loop.call_soon_threadsafe(_end, jobs[0].done, failed)
        else:
            loop.call_soon_threadsafe(self._settle, jobs, results, timing)

    def _settle(self, jobs: list[Job], results: list[Outputs], timing: Timing) -> None:
        """Count a batch and hand its results out, in the event loop."""
        rows = sum(job.rows for job in jobs)
        join([job.seen for job in jobs], rows, timing)
        self._statistics.count_batch(rows, timing)
        self._statistics.last_ms = time.time_ns() // 1_000_000
        for job, outputs in zip(jobs, results, strict=True):
            if not job.done.done():
                job.done.set_result((outputs, timing))

    def close(self) -> None:
        """Compute what is queued, end the threads and free the runners; blocks until then."""
        self._lines.close()
        for thread in self._threads:
            thread.join()
        for runner in self._runners:
            runner.close()


def _expire(done: asyncio.Future[Any], seconds: float) -> None:
    _end(done, TimedOut(f"no result within {seconds:g} s"))


def _end(done: asyncio.Future[Any], refusal: Refusal) -> None:
    """End a request without a result, unless it has ended."""
    if not done.done():
        done.set_exception(refusal)

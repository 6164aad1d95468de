"""What waits for a model: requests of one shape in a line, and threads that take batches of them.

The threads take for themselves, at the moment they are free, so a batch holds all that came while
the one before it was computed; nothing waits for the event loop between two batches. Requests of
different shapes wait in lines of their own, and the line whose first has waited longest is next.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from simam_deploy.serve.models.batch import Job
from simam_deploy.serve.protocol.refusals import Busy


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


class Lines:
    """The lines of a model's requests.

    Args:
        limits: The bounds.

    Attributes:
        waiting: How many requests do.

    `take` is for the threads that compute, all else for the event loop's.
    """

    def __init__(self, limits: Limits) -> None:
        self.waiting = 0
        self._limits = limits
        self._lines: dict[Hashable, deque[Job]] = {}
        self._closing = False
        self._changed = threading.Condition()

    def put(self, job: Job) -> None:
        """Have a request wait.

        Raises:
            Busy: No thread is left that would ever take it.
        """
        with self._changed:
            if self._closing:
                raise Busy("the model was unloaded meanwhile")
            line = self._lines.setdefault(job.line, deque())
            line.append(job)
            self.waiting += 1
            # A thread that waits for a batch to fill is woken for a first request and a full
            # batch, not for each one between.
            if len(line) == 1 or self._full(line):
                self._changed.notify()

    def discard(self, job: Job) -> None:
        """Take a request that timed out or lost its caller out, if it is still there."""
        if _succeeded(job.done):
            return
        with self._changed:
            line = self._lines.get(job.line)
            if line is not None and job in line:
                line.remove(job)
                self.waiting -= 1
                self._forget_if_empty(job.line)

    def take(self) -> list[Job]:
        """Wait for a batch; an empty one means that there will be none any more."""
        with self._changed:
            while self._lines or not self._closing:
                key = min(self._lines, key=self._waiting_since, default=None)
                if key is None:
                    self._changed.wait()
                    continue
                ready = next((k for k in self._lines if self._full(self._lines[k])), None)
                due = self._waiting_since(key) + self._limits.max_delay_us * 1000
                left = due - time.perf_counter_ns()
                if left <= 0 or self._closing:
                    return self._cut(key)
                if ready is not None:
                    return self._cut(ready)
                self._changed.wait(left / 1e9)
            return []

    def close(self) -> None:
        """Take no more in; what waits is still taken out."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _full(self, line: deque[Job]) -> bool:
        if self._limits.max_batch is None:
            return True
        return sum(job.rows for job in line) >= self._limits.max_batch

    def _waiting_since(self, key: Hashable) -> int:
        return self._lines[key][0].queued_at

    def _cut(self, key: Hashable) -> list[Job]:
        """Take as many of a line's requests as fit one batch, in their order."""
        line, most = self._lines[key], self._limits.max_batch
        jobs = [line.popleft()]
        rows = jobs[0].rows
        while line and most and rows + line[0].rows <= most:
            jobs.append(line.popleft())
            rows += jobs[-1].rows
        self.waiting -= len(jobs)
        self._forget_if_empty(key)
        return jobs

    def _forget_if_empty(self, key: Hashable) -> None:
        if not self._lines[key]:
            del self._lines[key]


def _succeeded(done: asyncio.Future[Any]) -> bool:
    return done.done() and not done.cancelled() and done.exception() is None

"""Send requests, closed loop or open loop, and count how they end.

In a closed loop a slow server slows the clients down too, and what would have waited is never
sent. In an open loop every request has its time, i / rate from the start, and its latency counts
from then, whether or not a connection was free: what waited is seen (no coordinated omission).
What was due and never sent is counted apart.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

from simam_deploy.serve.load.client import NOT_CONNECTED, UNAVAILABLE, Reply, Wire
from simam_deploy.serve.load.plan import Plan

_TIMER = 1e-3
"""Seconds: the event loop's timers are rounded up to it, so a request is sent up to that early."""

_PAUSE = 0.05
"""Seconds after a failed connection, so that a dead server is not asked thousands of times."""


class Tally:
    """What came back: the latencies of answered requests in seconds, and the others by status."""

    def __init__(self) -> None:
        self.latencies = array("d")
        self.errors: Counter[str] = Counter()
        self.messages: dict[str, str] = {}

    def add(self, latency: float, reply: Reply) -> None:
        """Count one request."""
        if not reply.status:
            self.latencies.append(latency)
            return
        self.errors[reply.status] += 1
        self.messages.setdefault(reply.status, reply.message)

    @property
    def sent(self) -> int:
        """The number of requests that ended, one way or the other."""
        return len(self.latencies) + self.errors.total()


async def drive(wires: Sequence[Wire], plan: Plan, tally: Tally) -> None:
    """Send what the plan says and wait for the last reply."""
    start = time.perf_counter()
    end = start + plan.seconds
    due = _at_once(end) if plan.rate is None else _scheduled(start, end, plan)
    await asyncio.gather(*(_work(wire, due, tally) for wire in wires))


def _at_once(end: float) -> Iterator[float]:
    """Yield now, until the end."""
    while (now := time.perf_counter()) < end:
        yield now


def _scheduled(start: float, end: float, plan: Plan) -> Iterator[float]:
    """Yield the time of each request, whenever it is asked for, until the end."""
    assert plan.rate is not None
    for arrival in range(plan.arrivals):
        if time.perf_counter() >= end:
            return
        yield start + arrival / plan.rate


async def _work(wire: Wire, due: Iterator[float], tally: Tally) -> None:
    """Send the next request that is due, again and again; the workers share one iterator."""
    for moment in due:
        await _wait_until(moment)
        begun = min(moment, time.perf_counter())
        reply = await wire.send()
        tally.add(time.perf_counter() - begun, reply)
        if reply.status in (NOT_CONNECTED, UNAVAILABLE):
            await asyncio.sleep(_PAUSE)


async def _wait_until(moment: float) -> None:
    delay = moment - time.perf_counter() - _TIMER
    if delay > 0:
        await asyncio.sleep(delay)

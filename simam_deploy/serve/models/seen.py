"""What is seen of one request on its way: by whom it was asked, what it met, how long each took.

Kept only where somebody looks: an access log, or traces. Whoever handles the request finds the
record in the context, or nothing.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from simam_deploy.serve.models.statistics import Timing


@dataclass(eq=False)
class Batch:
    """A run of a model that several requests shared.

    Attributes:
        rows: Of all of them.
        timing: When each step was done.
        members: The requests.
        trace: Where its own trace is, once one of them was told.
    """

    rows: int
    timing: Timing
    members: list[Seen] = field(default_factory=list)
    trace: Any = None


@dataclass(eq=False)
class Seen:
    """A request.

    Attributes:
        transport: "http" or "grpc".
        method: HTTP's, or gRPC's with its service.
        path: HTTP's path without the query; "" over gRPC.
        client: Address of the other end.
        received: Bytes of its body, as announced; of a message, once it is there.
        began: When, on the clock of `time.perf_counter_ns`.
        status: HTTP's number or gRPC's name; None where no answer was sent.
        sent: Bytes of the answer's body.
        model: Name and version of the model that computed it; empty where none did.
        rows: Its own.
        queued_at: When it came into the queue, on the same clock.
        batch: What it was computed in.
        trace: Its span, where there are traces.
    """

    transport: str
    method: str
    path: str
    client: str
    received: int
    began: int = field(default_factory=time.perf_counter_ns)
    _clock: int = field(default_factory=time.time_ns, repr=False)
    status: int | str | None = None
    sent: int = 0
    model: tuple[str, str] = ("", "")
    rows: int = 0
    queued_at: int = 0
    batch: Batch | None = None
    trace: Any = None

    def at(self, moment: int) -> int:
        """Give nanoseconds since 1970 of a moment on the clock of `time.perf_counter_ns`."""
        return self._clock + moment - self.began


looked_at: ContextVar[Seen | None] = ContextVar("looked_at", default=None)
"""The record of the request that is being handled; None where nobody looks."""


def join(members: list[Seen | None], rows: int, timing: Timing) -> None:
    """Tell requests that they were computed together; those that nobody looks at are none."""
    batch = Batch(rows, timing, [each for each in members if each is not None])
    for each in batch.members:
        each.batch = batch

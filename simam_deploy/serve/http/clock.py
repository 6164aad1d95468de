"""One deadline that moves, and what a peer that sends or reads earns by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

RATE = 64 << 10
"""Bytes, sent or read, that buy a client one more second."""


class Clock:
    """Calls back once a deadline has passed, unless it is stopped or set anew.

    Args:
        loop: The event loop.
        passed: What to call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._timer: asyncio.TimerHandle | None = None
        self._begun = self._limit = 0.0

    @property
    def runs(self) -> bool:
        """Tell whether there is a deadline."""
        return self._timer is not None

    def start(self, seconds: float) -> None:
        """Set the deadline."""
        self.stop()
        self._begun, self._limit = time.monotonic(), seconds
        self._timer = self._loop.call_later(seconds, self._ring)

    def stop(self) -> None:
        """Have none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def earned(self, size: int) -> bool:
        """Put the deadline off by what so many bytes have bought, and tell whether that is left."""
        left = self._begun + self._limit + size / RATE - time.monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._ring)
        return left > 0

    def _ring(self) -> None:
        self._timer = None
        self._passed()

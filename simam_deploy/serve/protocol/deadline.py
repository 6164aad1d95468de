"""How long a request may take, from its arrival to its result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from simam_deploy.serve.protocol.refusals import TimedOut

T = TypeVar("T")


class Deadline:
    """Of a request that has just arrived.

    Args:
        seconds: That it may take.
    """

    def __init__(self, seconds: float) -> None:
        self._begun = time.monotonic()
        self._seconds = seconds

    @property
    def spent(self) -> float:
        """Give the seconds since it arrived."""
        return time.monotonic() - self._begun

    async def within(self, work: Awaitable[T]) -> T:
        """Await a step towards the result.

        Raises:
            TimedOut: It took too long; it is cancelled.
        """
        try:
            return await asyncio.wait_for(work, max(0.0, self._seconds - self.spent))
        except asyncio.TimeoutError:
            raise TimedOut(f"no result within {self._seconds:g} s") from None

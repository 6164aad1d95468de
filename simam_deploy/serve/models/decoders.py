"""Threads that work on pictures, bounded by their number and by the memory that they take."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
MEMORY = 360 << 20
"""Bytes of the pictures that are worked on side by side: three of 12 million pixels that may have
to be turned. What needs more, up to the 89 million that Pillow takes, is worked on alone."""
MOST = 4
"""Threads; more than there are cores help nobody."""


class Decoders:
    """Runs work on pictures in threads, first come, first served.

    All methods are for the event loop's thread.
    """

    def __init__(self) -> None:
        self._most = min(MOST, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix="picture")
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._working = 0
        self._memory = 0

    async def run(self, weight: int, work: Callable[..., T], *given: Any) -> T:
        """Run work in a thread when its turn comes.

        A thread cannot be stopped: one whose asker went away keeps its place to its end.

        Args:
            weight: Bytes of memory that it takes.
            work: What to run.
            given: Its arguments.
        """
        loop = asyncio.get_running_loop()
        await self._enter(weight)

        def ended(done: Future[T]) -> None:
            loop.call_soon_threadsafe(self._leave, weight)

        running = self._pool.submit(work, *given)
        running.add_done_callback(ended)
        return await asyncio.wrap_future(running)

    async def _enter(self, weight: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((weight, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had been let in
                self._leave(weight)
            raise

    def _admit(self) -> None:
        """Let in, in their order, whom there is room for, and forget those who went away."""
        while self._waiting:
            weight, turn = self._waiting[0]
            alone = not self._working
            if not turn.done():
                if not alone and (self._working >= self._most or self._memory + weight > MEMORY):
                    return
                self._working += 1
                self._memory += weight
                turn.set_result(None)
            self._waiting.popleft()

    def _leave(self, weight: int) -> None:
        self._working -= 1
        self._memory -= weight
        self._admit()

    async def close(self) -> None:
        """Wait for the threads that are at work."""
        await asyncio.to_thread(self._pool.shutdown)

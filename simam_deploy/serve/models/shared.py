"""A change that everybody who asks for it shares: a storm of asking is two changes, not a queue."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable

QUIET = 0.25
"""Seconds for which nobody asked, before what was asked for during a change, or just after it, is
begun: scripts that signal in a loop do it every 10 to 100 ms."""
LONGEST = 5.0
"""Seconds that who asked first waits for the others to be quiet."""


class Shared:
    """Makes a change for all who ask: at once if none was made lately, else once for all of them.

    Who asks before a change begins has a part in it, and in its error. One that is under way may
    have read already what an asker has written since, so that he shares the next.

    Args:
        turn: Held while the change is made, and by whatever must not happen meanwhile; first come,
            first served.
        change: What to do.
    """

    def __init__(self, turn: asyncio.Lock, change: Callable[[], Awaitable[None]]) -> None:
        self._turn = turn
        self._change = change
        self._next: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = self._ended = -math.inf
        self._hurried = asyncio.Event()

    async def ask(self) -> None:
        """Have the change made; it goes on if its asker goes away.

        A thread that opens a model cannot be stopped: were it not waited for, nobody would know of
        the model that it comes back with, and close it.

        Raises:
            Exception: Whatever the change raises.
        """
        await asyncio.shield(self.request())

    def request(self) -> asyncio.Task[None]:
        """Have the change made, without waiting for it."""
        self._asked = asyncio.get_running_loop().time()
        if self._next is None:
            self._next = asyncio.ensure_future(self._make(self._asked))
            self._tasks.add(self._next)
            self._next.add_done_callback(self._forget)
        return self._next

    def part(self) -> None:
        """Let nobody who asks from now on share a change that was asked for before."""
        self._next = None

    async def close(self) -> None:
        """Wait for nobody to be quiet any more, and for what is under way."""
        self._hurried.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make(self, first: float) -> None:
        async with self._turn:
            await self._settle(first)
            if self._next is asyncio.current_task():
                self._next = None
            try:
                await self._change()
            finally:
                self._ended = asyncio.get_running_loop().time()

    async def _settle(self, first: float) -> None:
        """Wait until nobody asks any more, if a change was under way just before."""
        clock = asyncio.get_running_loop().time
        while first <= self._ended + QUIET and not self._hurried.is_set():
            left = min(self._asked + QUIET, first + LONGEST) - clock()
            if left <= 0:
                break
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), left)

    def _forget(self, done: asyncio.Task[None]) -> None:
        self._tasks.discard(done)
        if not done.cancelled():
            done.exception()  # seen: its askers may all be gone

"""How messages are taken in: a few at a time, and none for ever.

Once it is asked for a message, gRPC keeps what has come of it, up to the largest that it takes; of
one that nobody asks for it lets 64 KiB come. How far a message is it does not tell.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import grpc

from simam_deploy.serve.protocol.refusals import BadRequest, TimedOut

LEAST = 4
"""Messages that are taken in side by side, however large each may be."""
PATIENCE = 1.0
"""Seconds that a message has while others wait for its place."""


class _Message:
    """One that is taken in by the current task."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.given_up = False
        self._task = asyncio.current_task()

    def give_up(self) -> None:
        self.given_up = True
        assert self._task is not None
        self._task.cancel()


class Reading:
    """Reads the messages of all calls.

    Args:
        most: At a time.
        seconds: That each may take.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._messages: dict[_Message, None] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def read(self, context: Any) -> bytes:
        """Take a call's message in.

        Raises:
            BadRequest: There is none.
            TimedOut: It did not come in time.
        """
        while len(self._messages) >= self._most:
            await self._wait()
        message = _Message()
        self._messages[message] = None
        timer = asyncio.get_running_loop().call_later(self._seconds, message.give_up)
        try:
            content = await context.read()
        except asyncio.CancelledError:
            if message.given_up:
                raise TimedOut("the message did not arrive in time") from None
            raise
        finally:
            timer.cancel()
            del self._messages[message]
            self._wake()
        if content is grpc.aio.EOF:
            raise BadRequest("the call ended without a message")
        return bytes(content)

    async def _wait(self) -> None:
        """Wait for a place; in vain for long, take that of the message that has it longest."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            while len(self._messages) >= self._most:
                if (await asyncio.wait({place}, timeout=PATIENCE))[0]:
                    return
                self._give_one_up()
        except asyncio.CancelledError:
            if place.done():
                self._wake()
            raise
        finally:
            if not place.done():
                self._waiting.remove(place)

    def _give_one_up(self) -> None:
        longest = next((each for each in self._messages if not each.given_up), None)
        if longest is not None and time.monotonic() - longest.begun >= PATIENCE:
            longest.give_up()

    def _wake(self) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)

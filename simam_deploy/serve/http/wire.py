"""What a request's cycle writes its answer to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Wire:
    """A transport that counts what was read of it, and leaves its end to the connection.

    Args:
        transport: Of the connection.
        finish: What to call where uvicorn would close it.
    """

    def __init__(self, transport: asyncio.Transport, finish: Callable[[], None]) -> None:
        self._transport = transport
        self._written = 0
        self.close = finish
        self.is_closing = transport.is_closing

    def write(self, data: bytes | memoryview) -> None:
        """Write."""
        self._written += len(data)
        self._transport.write(data)

    @property
    def read(self) -> int:
        """Count the bytes that are on their way to the client, or there."""
        return self._written - self._transport.get_write_buffer_size()

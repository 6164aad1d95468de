"""What answers are written to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Wire:
    """A transport that counts what was read of it, and leaves its end to the connection.

    Args:
        transport: Of the connection.
        finish: What to call where uvicorn would close it.
    """

    def __init__(self, transport: asyncio.Transport, finish: Callable[[], None]) -> None:
        self._transport = transport
        self._written = 0
        self.finish = finish
        self.is_closing = transport.is_closing

    def write(self, data: bytes | memoryview) -> None:
        """Write."""
        self._written += len(data)
        self._transport.write(data)

    @property
    def read(self) -> int:
        """Count the bytes that are on their way to the client, or there."""
        return self._written - self._transport.get_write_buffer_size()


class Reply:
    """What one request's cycle writes to: the header goes out with the first piece of the body.

    uvicorn writes it by itself, which takes the server a second system call and wakes its client
    twice.

    Args:
        wire: Of the connection.
        cycle: Of the request.
    """

    def __init__(self, wire: Wire, cycle: RequestResponseCycle) -> None:
        self._wire = wire
        self._cycle = cycle
        self._header: bytes | memoryview | None = None
        self.is_closing = wire.is_closing

    def write(self, data: bytes | memoryview) -> None:
        """Write, or keep a header for what comes next; "100 Continue" is none."""
        if self._header is None and self._cycle.response_started:
            self._header = data
            if self._cycle.scope["method"] != "HEAD":  # nothing comes next
                return
        elif self._header:
            data = b"".join((self._header, data))
        self._header = b"" if self._cycle.response_started else None
        self._wire.write(data)

    def close(self) -> None:
        """Close the connection; a header without its body is told all the same."""
        if self._header:
            self._wire.write(self._header)
        self._wire.finish()

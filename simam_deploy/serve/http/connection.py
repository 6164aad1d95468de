"""A guarded HTTP connection: what is refused before a request is even parsed.

uvicorn's protocol bounds neither how long a client takes to send a header or a body, nor a header's
size, and answers an excess of connections only after parsing their requests. Its pieces stay in
use; this adds the bounds.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simam_deploy.serve.settings import Settings

MAX_HEADER = 64 << 10
"""Bytes of a request's header, its line included, that arrived without its end."""
BODY_RATE = 64 << 10
"""Bytes of a body that buy its sender one more second."""
HOLD = 0.1
"""Seconds for which a connection is not read after a 503. Clients that ignore Retry-After then
cost a tenth of the loop where they cost most of it: see scripts/bench/serving.py."""
LINGER = 1.0
"""Seconds that a refused client has to read its answer and hang up."""
RETRY_AFTER = "1"
"""Seconds, as the header says it."""


def plain_response(status: str, message: str, extra: bytes = b"") -> bytes:
    """Write a whole HTTP answer that closes the connection."""
    body = orjson.dumps({"error": message})
    return b"".join(
        (
            f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n".encode(),
            b"content-type: application/json\r\nconnection: close\r\n",
            extra,
            b"\r\n",
            body,
        )
    )


_OVER_CAP = plain_response(
    "503 Service Unavailable",
    "too many connections",
    f"retry-after: {RETRY_AFTER}\r\n".encode(),
)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with bounds; `settings` is set by `guarded`."""

    settings: Settings

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._refused = False
        self._held = False
        self._receiving = False
        self._in_header = True
        self._begun = 0.0
        self._received = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._call: asyncio.Future[Any] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and start the clock for its first header."""
        super().connection_made(transport)
        self._refused = len(self.connections) > self.settings.max_connections
        if len(self.connections) > 2 * self.settings.max_connections:
            transport.abort()
        self._start_clock(in_header=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock and the computation that nobody waits for."""
        self._stop_clock()
        if self._call is not None:
            self._call.cancel()
        super().connection_lost(exc)

    def watch(self, call: asyncio.Future[Any] | None) -> None:
        """Name the task to cancel if the client goes away; None for none."""
        self._call = call

    def hold(self) -> None:
        """Read nothing for `HOLD` seconds: the client was told to come later."""
        if not self._held and not self.transport.is_closing():
            self._held = True
            self.transport.pause_reading()
            self.loop.call_later(HOLD, self._release)

    def _release(self) -> None:
        self._held = False
        if not self.transport.is_closing() and not self.flow.read_paused:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse, unless the connection is refused; then see what is still to come."""
        if self._refused:
            self._refuse()
            return
        super().data_received(data)
        self._received += len(data)  # afterwards: the parser's callbacks begin a new count
        if self._receiving:
            self._watch_progress()
        elif self._deadline is not None:
            self._stop_clock()

    def _watch_progress(self) -> None:
        if self._in_header and self._received > MAX_HEADER:
            self._end("431 Request Header Fields Too Large", f"a header beyond {MAX_HEADER} bytes")
        elif self._deadline is None:
            self._start_clock(self._in_header)

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        super().on_message_begin()
        self.scope["connection"] = self  # type: ignore[typeddict-unknown-key]
        self._receiving = self._in_header = True
        self._received = 0

    def on_headers_complete(self) -> None:
        """Give the body a clock of its own."""
        super().on_headers_complete()  # raises where the URL is none
        self._stop_clock()
        self._in_header = False
        self._received = 0

    def on_message_complete(self) -> None:
        """Note that the request arrived whole."""
        self._receiving = False
        super().on_message_complete()

    def _start_clock(self, in_header: bool) -> None:
        limit = self.settings.header_timeout if in_header else self.settings.body_timeout
        self._begun = time.monotonic()
        self._deadline = self.loop.call_later(limit, self._on_deadline)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        """Hang up on a client that sends too slowly; a body that came on gets more time."""
        self._deadline = None
        if self._answering_earlier():
            self._start_clock(self._in_header)
            return
        if not self._in_header and not self.cycle.response_complete:
            earned = self.settings.body_timeout + self._received / BODY_RATE
            left = self._begun + earned - time.monotonic()
            if left > 0:
                self._deadline = self.loop.call_later(left, self._on_deadline)
                return
        self._end("408 Request Timeout", "the request did not arrive in time")

    def _answering_earlier(self) -> bool:
        """Tell whether a request before the one that arrives (pipelined) waits for its answer."""
        if self._in_header:
            return self.cycle is not None and not self.cycle.response_complete
        return bool(self.pipeline)

    def _refuse(self) -> None:
        """Answer 503 to the first bytes of a connection over the cap; drop what follows."""
        if self._in_header:
            self._in_header = False
            self._stop_clock()
            self.transport.write(_OVER_CAP)
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(LINGER, self.transport.close)

    def _end(self, status: str, message: str) -> None:
        """Close; with an answer, unless the request that arrives has one already."""
        if self.transport.is_closing():
            return
        if self._in_header or not self.cycle.response_started:
            self.transport.write(plain_response(status, message))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the protocol's form."""
        self._receiving = False
        self._end("400 Bad Request", msg)


def guarded(settings: Settings) -> type[GuardedProtocol]:
    """Make the protocol class for a server's settings: uvicorn takes a class."""
    return type("GuardedProtocol", (GuardedProtocol,), {"settings": settings})

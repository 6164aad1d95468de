"""A guarded HTTP connection: what is refused before a request is even parsed.

uvicorn's protocol bounds neither how long a client takes to shake hands, to send a header or a body
or to read its answer, nor a header's size, and answers an excess of connections only after parsing
their requests. Its pieces stay in use; this adds the bounds. A connection counts from when it is
accepted until it is gone, and in each of its states it has a deadline:

    handshake   header_timeout
    header      header_timeout from the accept or, of a later request, from its first byte
    body        body_timeout, and a second more for every 64 KiB that came
    answering   the request's own (`timeout`)
    writing     body_timeout, and a second more for every 64 KiB that were read, in any state
    idle        KEEP_ALIVE
    leaving     LINGER
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from simam_deploy.serve.http.accepted import Accepted
from simam_deploy.serve.http.clock import Clock
from simam_deploy.serve.http.plain import OVER_CAP, plain_response
from simam_deploy.serve.settings import Settings

MAX_HEADER = 64 << 10
"""Bytes of a request's header, its line included, that arrived without its end; and of what is
parsed at a time, so that it may be twice as much where another request came before it."""
HOLD = 0.1
"""Seconds for which a connection is not read after a 503. Clients that ignore Retry-After then
cost a tenth of the loop where they cost most of it: see scripts/bench/serving.py."""
LINGER = 3.0
"""Seconds that a client has to read its last answer and hang up, what it still sends being dropped:
one that is hung up on while it sends may never see it."""
KEEP_ALIVE = 75
"""Seconds that an idle connection stays: longer than the 60 of the usual load balancers, so that
it is they who close."""


class GuardedProtocol(Accepted):
    """uvicorn's HTTP/1.1 protocol with bounds; `settings` is set by `guarded`."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._clock = Clock(self.loop, self._on_deadline)
        self._held = self._receiving = self._idle = self._leaving = False
        self._in_header = True
        self._begun = self._received = 0
        self._last_words: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first header."""
        super().connection_made(transport)
        self._clock.start(self.settings.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._clock.stop()
        super().connection_lost(exc)

    def hold(self) -> None:
        """Read nothing for `HOLD` seconds: the client was told to come later."""
        if not (self._held or self._leaving or self.transport.is_closing()):
            self._held = True
            self.transport.pause_reading()
            self.loop.call_later(HOLD, self._release)

    def _release(self) -> None:
        self._held = False
        if not self.transport.is_closing() and not self.flow.read_paused:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse, unless the connection is refused or ends; then see what is still to come."""
        if self.refused and not self._leaving:
            self._leave(OVER_CAP)
        for piece in _pieces(data):
            if not self._leaving:
                self._parse(piece)

    def _parse(self, piece: bytes | memoryview) -> None:
        between, self._begun = not self._receiving, 0
        super().data_received(piece)  # type: ignore[arg-type]  # its parser takes any buffer
        # The parser does not tell where in a piece a request begins: this counts one that is alone.
        if not (self._in_header and self._begun) or (between and self._begun == 1):
            self._received += len(piece)
        if self._receiving:
            self._watch_progress()
        elif not self._idle and self._answering():
            self._clock.stop()

    def _watch_progress(self) -> None:
        if self._in_header and self._received > MAX_HEADER:
            self._end("431 Request Header Fields Too Large", f"a header beyond {MAX_HEADER} bytes")
        elif not self._clock.runs and not self._leaving:
            self._start_clock()

    def _start_clock(self) -> None:
        s = self.settings
        self._clock.start(s.header_timeout if self._in_header else s.body_timeout)

    def _answering(self) -> bool:
        """Tell whether the newest request whose header is there waits for its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        super().on_message_begin()
        self.scope["connection"] = self  # type: ignore[typeddict-unknown-key]
        self._receiving = self._in_header = True
        self._received = 0
        self._begun += 1
        if self._idle:
            self._idle = False
            self._clock.stop()

    def on_headers_complete(self) -> None:
        """Give the body a clock of its own."""
        super().on_headers_complete()
        self._clock.stop()
        self._in_header = False
        self._received = 0

    def on_message_complete(self) -> None:
        """Note that the request arrived whole."""
        self._receiving = False
        super().on_message_complete()
        if not self._answering():
            self._rest()

    def on_response_complete(self) -> None:
        """Go on with the next request, or rest; or end, where that waited for this answer."""
        more = bool(self.pipeline)
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the clock is ours
        if more or self.transport.is_closing():
            return
        if self._last_words is not None:
            self._leave(self._last_words)
        elif not self._receiving and not self._leaving:
            self._rest()

    def _rest(self) -> None:
        self._idle = True
        self._clock.start(KEEP_ALIVE)

    def _on_deadline(self) -> None:
        """Hang up on a client that sends too slowly, or nothing for long."""
        if self._idle or self._leaving:
            self.close()
        elif self._answering_earlier():
            self._start_clock()
        elif (
            self._in_header
            or self.cycle.response_complete
            or not self._clock.earned(self._received)
        ):
            self._end("408 Request Timeout", "the request did not arrive in time")

    def _answering_earlier(self) -> bool:
        """Tell whether a request before the one that arrives (pipelined) waits for its answer."""
        return self._answering() if self._in_header else bool(self.pipeline)

    def _end(self, status: str, message: str) -> None:
        """Close, with an answer to the request that arrives, after those to the ones before it."""
        if self._leaving or self.transport.is_closing():
            return
        words = plain_response(status, message)
        in_body = self._receiving and not self._in_header
        if self._answering_earlier() if self._receiving else self._answering():
            if in_body:
                self.pipeline.popleft()  # it waits for its turn, which shall not come
            self._last_words, self._leaving = words, True
            self._clock.stop()
            return
        if in_body:
            words = b"" if self.cycle.response_started else words
            self.cycle.disconnected = True  # else it would answer too
            self.cycle.message_event.set()
        self._leave(words)

    def _leave(self, words: bytes) -> None:
        """Say the last words, and drop what still comes until the client has hung up."""
        self._leaving = True
        self.transport.write(words)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._clock.start(LINGER)

    def finish(self) -> None:
        """Close after an answer; of a request that still arrives, once its client could read it."""
        if self._receiving and not self._in_header:
            self._leave(b"")
        else:
            self.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the protocol's form."""
        self._end("400 Bad Request", msg)
        self._receiving = False


def _pieces(data: bytes) -> Iterator[bytes | memoryview]:
    """Take what came apart into pieces as long as a header may be."""
    if len(data) <= MAX_HEADER:
        yield data
    else:
        whole = memoryview(data)
        yield from (whole[i : i + MAX_HEADER] for i in range(0, len(data), MAX_HEADER))


def guarded(settings: Settings) -> type[GuardedProtocol]:
    """Make the protocol class for a server's settings: uvicorn takes a class."""
    return type("GuardedProtocol", (GuardedProtocol,), {"settings": settings})

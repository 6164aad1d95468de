"""A connection from its accept to its end: counted, and read by its client."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from simam_deploy.serve.http.clock import Clock
from simam_deploy.serve.http.wire import Reply, Wire
from simam_deploy.serve.settings import Settings


class Accepted(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, on a connection that costs its slot for a bounded time."""

    settings: Settings

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._reading = Clock(self.loop, self._on_unread)
        self._unread = 0
        self._wire: Wire | None = None
        self._call: asyncio.Future[Any] | None = None
        self._running: RequestResponseCycle | None = None
        self.handshake: asyncio.Task[None] | None = None
        self.refused = False

    @property
    def is_open(self) -> bool:
        """Tell whether the connection has been made, encrypted if it is to be."""
        return self._wire is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, if it was not counted before its handshake."""
        super().connection_made(transport)
        self._wire = Wire(transport, self.finish)
        self.refused = len(self.connections) > self.settings.max_connections
        if len(self.connections) > 2 * self.settings.max_connections:
            transport.abort()

    def on_headers_complete(self) -> None:
        """Have the answer written by way of the wire."""
        super().on_headers_complete()  # raises where the URL is none
        assert self._wire is not None
        self.cycle.transport = Reply(self._wire, self.cycle)  # type: ignore[assignment]  # its task begins later

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def watch(self, call: asyncio.Future[Any] | None) -> None:
        """Name the task to cancel if the client goes away; None for none."""
        self._call = call

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the computation that nobody waits for; uvicorn tells the newest request alone."""
        self._reading.stop()
        if self._call is not None:
            self._call.cancel()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client time to read what waits for it."""
        super().pause_writing()
        self._await_reader()

    def _await_reader(self) -> None:
        if self._wire is not None and not self._reading.runs:
            self._unread = self._wire.read
            self._reading.start(self.settings.body_timeout)

    def _on_unread(self) -> None:
        """Hang up on a client that does not read; one that goes on reading gets more time."""
        assert self._wire is not None
        waited_for = self.flow.write_paused or self.transport.is_closing()
        if waited_for and not self._reading.earned(self._wire.read - self._unread):
            self.transport.abort()

    def finish(self) -> None:
        """Close after an answer."""
        self.close()

    def close(self) -> None:
        """Close, once what was written is read."""
        if not self.transport.is_closing():
            self.transport.close()
        self._await_reader()

    def shutdown(self) -> None:
        """End: at once where no answer is due, else after it."""
        if self._wire is None:
            self.abort()
        elif self.cycle is None or self.cycle.response_complete:
            self.close()
        else:
            super().shutdown()

    def abort(self) -> None:
        """End at once."""
        if self.handshake is not None:
            self.handshake.cancel()
        elif self.transport is not None:
            self.transport.abort()

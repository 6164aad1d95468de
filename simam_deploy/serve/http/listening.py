"""Where HTTP connections come in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import cast

import uvicorn

from simam_deploy.serve.http.accepted import Accepted
from simam_deploy.serve.settings import Settings

BACKLOG = 2048
"""Connections that the system holds until they are accepted."""
_REST = 1.0
"""Seconds without an accept after one failed: no descriptor is left."""


class Listener:
    """Accepts connections for a server of uvicorn's, and counts them from then.

    uvicorn, and asyncio's servers, tell a protocol of its connection once it is encrypted: till
    then nobody would know of it.

    Args:
        http: The server; it has not begun.
        sock: That listens.
        settings: The bounds.
        context: To encrypt connections by; None for none.
    """

    def __init__(
        self,
        http: uvicorn.Server,
        sock: socket.socket,
        settings: Settings,
        context: ssl.SSLContext | None,
    ) -> None:
        self._http = http
        self._sock = sock
        self._settings = settings
        self._context = context
        self._server: asyncio.Server | None = None
        self._accepting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        if self._context is None:
            self._server = await loop.create_server(
                self._protocol, sock=self._sock, backlog=BACKLOG
            )
        else:
            self._sock.setblocking(False)
            self._accepting = loop.create_task(self._accept(self._context))
        self._http.started = True

    def close(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()
        if self._accepting is not None:
            self._accepting.cancel()
        self._sock.close()

    def _protocol(self) -> Accepted:
        config = self._http.config
        protocol = config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=self._http.server_state, app_state={}
        )
        return cast(Accepted, protocol)

    async def _accept(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        connections = self._http.server_state.connections
        while True:
            try:
                client, _ = await loop.sock_accept(self._sock)
            except OSError:
                await asyncio.sleep(_REST)
                continue
            if len(connections) >= 2 * self._settings.max_connections:
                client.close()
                continue
            protocol = self._protocol()
            connections.add(protocol)
            protocol.handshake = loop.create_task(self._encrypt(client, protocol, context))

    async def _encrypt(
        self, client: socket.socket, protocol: Accepted, context: ssl.SSLContext
    ) -> None:
        limit = self._settings.header_timeout
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, client, ssl=context, ssl_handshake_timeout=limit
            )
        protocol.handshake = None
        if not protocol.is_open:
            self._http.server_state.connections.discard(protocol)

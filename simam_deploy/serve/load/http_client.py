"""The V2 protocol over HTTP with binary tensors, on asyncio's transports and httptools' parser.

Own framing instead of a client library: of aiohttp's 15,000 requests a second and core and httpx's
670, this makes 91,000 (scripts/bench/load_clients.py), so the server is what is measured.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

import httptools

from simam_deploy.core.arrays import Feeds
from simam_deploy.errors import InputError
from simam_deploy.serve.load.client import (
    ANSWERED,
    CONNECTION_LOST,
    NOT_CONNECTED,
    TIMEOUT,
    ModelInput,
    Reply,
)
from simam_deploy.serve.load.target import Target
from simam_deploy.serve.protocol.datatypes import DATATYPES

_KEPT = 1 << 20
"""Bytes of a reply's body that are kept; a model's metadata are far smaller."""


class HttpClient:
    """A server behind HTTP.

    Args:
        target: The server.
        timeout: Seconds until an exchange counts as failed.
        token: The bearer token, where the server wants one.
    """

    def __init__(self, target: Target, timeout: float, token: str | None) -> None:
        self._target = target
        self._timeout = timeout
        self._fields = {"Authorization": f"Bearer {token}"} if token else {}

    async def models(self) -> list[str]:
        """List the models that are ready."""
        index = await self._json(self._request("POST", "/v2/repository/index", b'{"ready":true}'))
        try:
            return [str(entry["name"]) for entry in index]
        except (KeyError, TypeError):
            raise InputError(
                f"{self._target} gives no model index: name a model", options=("model",)
            ) from None

    async def inputs(self, model: str) -> tuple[ModelInput, ...]:
        """Ask for a model's inputs."""
        metadata = await self._json(self._request("GET", f"/v2/models/{quote(model, safe='')}"))
        try:
            return tuple(
                ModelInput(str(i["name"]), str(i["datatype"]), tuple(int(d) for d in i["shape"]))
                for i in metadata["inputs"]
            )
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{self._target} gives no V2 metadata of model {model!r}") from None

    def wire(self, model: str, feeds: Feeds) -> HttpWire:
        """Make a connection that will ask for all outputs, as binary tensors."""
        header, body = _encode(feeds)
        fields = {"Inference-Header-Content-Length": str(len(header))}
        path = f"/v2/models/{quote(model, safe='')}/infer"
        request = self._request("POST", path, header + body, fields)
        return HttpWire(self._target, request, self._timeout)

    def _request(
        self, method: str, path: str, body: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> bytes:
        fields = {
            "Host": self._target.authority,
            "Content-Type": "application/octet-stream" if extra else "application/json",
            "Content-Length": str(len(body)),
            **self._fields,
            **(extra or {}),
        }
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1") + body

    async def _json(self, request: bytes) -> Any:
        wire = HttpWire(self._target, request, self._timeout)
        try:
            reply = await wire.send()
            body = wire.body
        finally:
            await wire.close()
        if reply.status:
            raise InputError(f"{self._target}: {reply.status} {reply.message}")
        try:
            return json.loads(body)
        except ValueError:
            raise InputError(f"{self._target} does not answer in JSON") from None


def _encode(feeds: Feeds) -> tuple[bytes, bytes]:
    """Write the JSON header and the tensors behind it."""
    tensors = [
        {
            "name": name,
            "datatype": DATATYPES[array.dtype],
            "shape": list(array.shape),
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in feeds.items()
    ]
    header = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}})
    return header.encode(), b"".join(array.tobytes() for array in feeds.values())


class HttpWire:
    """One keep-alive connection with one request, which it sends again and again.

    Args:
        target: The server.
        request: Head and body.
        timeout: Seconds until connecting, and until an exchange, counts as failed.
    """

    def __init__(self, target: Target, request: bytes, timeout: float) -> None:
        self._target = target
        self._request = request
        self._timeout = timeout
        self._connection: _Connection | None = None

    @property
    def body(self) -> bytes:
        """The last reply's body, or its start."""
        return b"" if self._connection is None else self._connection.body

    async def send(self) -> Reply:
        """Send the request and wait for its reply; connect first where it is needed."""
        if self._connection is None or self._connection.closed:
            try:
                self._connection = await asyncio.wait_for(self._connect(), self._timeout)
            except (OSError, asyncio.TimeoutError) as error:
                return Reply(NOT_CONNECTED, str(error))
        return await self._connection.exchange(self._request, self._timeout)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.abort()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        address, port = self._target.address, self._target.port
        _, connection = await loop.create_connection(_Connection, address, port)
        return connection


class _Connection(asyncio.Protocol):
    """One connection, from connecting to its end; asyncio and httptools call its methods."""

    closed = False
    body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._reply: asyncio.Future[Reply] | None = None

    async def exchange(self, request: bytes, timeout: float) -> Reply:
        loop = asyncio.get_running_loop()
        self._reply = loop.create_future()
        timer = loop.call_later(timeout, self._fail, Reply(TIMEOUT))
        try:
            self._transport.write(request)
            return await self._reply
        finally:
            timer.cancel()

    def abort(self) -> None:
        self.closed = True
        self._transport.abort()

    def _end(self, reply: Reply) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def _fail(self, reply: Reply) -> None:
        """End an exchange on a connection that cannot be used again."""
        self._end(reply)
        self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(Reply(CONNECTION_LOST, str(error or "the server closed it")))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Reply(CONNECTION_LOST, f"no HTTP: {error}"))

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, data: bytes) -> None:
        if len(self.body) < _KEPT:
            self.body += data

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.abort()
        status = self._parser.get_status_code()
        self._end(ANSWERED if status == 200 else Reply(str(status), _message(self.body)))


def _message(body: bytes) -> str:
    """Take the words out of `{"error": "..."}`; of anything else, its first characters."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")

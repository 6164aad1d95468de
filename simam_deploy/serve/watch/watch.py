"""Looks at every request, over HTTP and gRPC, for whoever wants to be told."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any

import grpc

from simam_deploy.serve.models.seen import Seen, looked_at
from simam_deploy.serve.settings import Settings
from simam_deploy.serve.watch.access import AccessLog

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class Watch:
    """What looks at requests.

    Args:
        settings: The server's.

    Raises:
        InputError: The access log cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        self.log = AccessLog(settings.access_log) if settings.access_log else None
        self.traces: Any = None
        if settings.traces is not None:
            from simam_deploy.serve.watch.traces import Traces

            self.traces = Traces(settings.traces or None)

    @contextlib.contextmanager
    def request(self, seen: Seen, headers: Mapping[str, str]) -> Iterator[None]:
        """Look at one request, from its first byte to its answer's last."""
        if self.traces is not None:
            self.traces.begin(seen, headers)
        token = looked_at.set(seen)
        try:
            yield
        finally:
            looked_at.reset(token)
            self._end(seen)

    def _end(self, seen: Seen) -> None:
        trace_id = ""
        if self.traces is not None:
            trace_id = self.traces.trace_id(seen)
            self.traces.end(seen)
        if self.log is not None:
            self.log.end(seen, trace_id)

    def http(self, app: Asgi) -> Asgi:
        """Give an ASGI application whose requests are looked at."""
        return WatchedHttp(app, self)

    def grpc(self) -> WatchedGrpc:
        """Give an interceptor that looks at every call."""
        return WatchedGrpc(self)

    def close(self) -> None:
        """Write and send what waits; blocks until then."""
        if self.log is not None:
            self.log.close()
        if self.traces is not None:
            self.traces.close()


class WatchedHttp:
    """An ASGI application whose requests are looked at."""

    def __init__(self, app: Asgi, watch: Watch) -> None:
        self._app = app
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {key.decode("latin-1"): text.decode("latin-1") for key, text in scope["headers"]}
        length = headers.get("content-length", "")
        seen = Seen(
            transport="http",
            method=scope["method"],
            path=scope["path"],
            client=_address(scope.get("client")),
            received=int(length) if length.isdecimal() else 0,
        )

        async def noting(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            seen.sent += len(message.get("body", b""))
            await send(message)

        with self._watch.request(seen, headers):
            await self._app(scope, receive, noting)


class WatchedGrpc(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Looks at every call."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Give the handler of a call, looked at; None where there is none."""
        handler = await continuation(details)
        if handler is None or handler.stream_unary is None:
            return handler
        method, headers = details.method.lstrip("/"), _texts(details.invocation_metadata)

        async def answer(messages: Any, context: Any) -> bytes:
            seen = Seen("grpc", method, "", context.peer(), 0)  # who takes the message in says more
            with self._watch.request(seen, headers):
                try:
                    result: bytes = await handler.stream_unary(messages, context)
                except BaseException:
                    seen.status = _failure(context)
                    raise
                seen.status, seen.sent = "OK", len(result)
            return result

        return grpc.stream_unary_rpc_method_handler(answer)


def _failure(context: Any) -> str:
    """Name what a call came to that was not answered."""
    if context.cancelled():
        return "CANCELLED"
    return getattr(context.code(), "name", "UNKNOWN")


def _texts(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}


def _address(client: Any) -> str:
    return str(client[0]) if client else ""

"""The gRPC side: who may call, what a call may take, and where it listens."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

from simam_deploy.errors import InputError
from simam_deploy.serve.grpc.bounds import largest_message
from simam_deploy.serve.grpc.health import HEALTH, health_answer
from simam_deploy.serve.grpc.reading import LEAST, Reading
from simam_deploy.serve.grpc.service import METHODS, answered
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.models.seen import looked_at
from simam_deploy.serve.protocol.address import netloc
from simam_deploy.serve.protocol.refusals import INTERNAL, Refusal
from simam_deploy.serve.protocol.room import Share
from simam_deploy.serve.protocol.token import check_token
from simam_deploy.serve.settings import Settings

SERVICE = "inference.GRPCInferenceService"
OPEN = ("ServerLive", "ServerReady")
"""Asked without a token, by probes."""
EMPTY = (*OPEN, "ServerMetadata")
"""Methods whose message says nothing: it is not taken in."""
_AGE = 300
"""Seconds after which a client is asked for a new connection: calls that are not over then, as of
one that reads no answer, have a request's time more. Other clients do not notice."""
_UNHEARD = 0.3
"""Seconds within which a server no longer listens, though it still has calls to answer."""
_log = logging.getLogger(__name__)
Answer = Callable[[Any, Share], Awaitable[bytes]]


def _handler(repository: Repository, name: str, answer: Answer) -> Any:
    """Make a method's handler.

    To the client it is as one of a single message. But gRPC takes in such a message whole before it
    calls the handler; of a stream of messages this one asks for the first when it is let in.
    """

    async def handle(messages: Any, context: Any) -> bytes:
        share = Share(repository.room)
        context.add_done_callback(lambda _: share.give_back())
        try:
            return await answer(context, share)
        except Refusal as refusal:
            code, said = refusal.grpc_code, str(refusal)
        except Exception:  # a bug of ours, as over HTTP: logged whole, told in one word
            _log.exception("%s failed", name)
            code, said = Refusal.grpc_code, INTERNAL
        await context.abort(getattr(grpc.StatusCode, code), said)
        return b""  # never reached: abort raises

    return grpc.stream_unary_rpc_method_handler(handle)


def _service_handlers(repository: Repository, reading: Reading) -> dict[str, Any]:
    token = repository.settings.token

    def answer_of(name: str) -> Answer:
        async def answer(context: Any, share: Share) -> bytes:
            if name not in OPEN:
                check_token(token, dict(context.invocation_metadata()).get("authorization"))
            content = b"" if name in EMPTY else await reading.read(context)
            if (seen := looked_at.get()) is not None:
                seen.received = len(content)
            share.take(len(content), "a message")
            return await answered(repository, name, content, share)

        return answer

    return {name: _handler(repository, name, answer_of(name)) for name in (*METHODS, "ModelInfer")}


def _health_handlers(repository: Repository, reading: Reading) -> dict[str, Any]:
    """Answer grpc.health.v1's Check, which orchestrators ask and which brings no token.

    Watch is not served: its clients take that for "no health checking", and ask us again by Check.
    """

    async def check(context: Any, share: Share) -> bytes:
        return health_answer(await reading.read(context), repository.ready, SERVICE)

    return {"Check": _handler(repository, "Check", check)}


class Listener:
    """Listens, by a server of gRPC's that takes messages as large as the loaded models' requests.

    How large that is such a server is told when it is made. Where models come to take more, another
    takes its place on the port, and answers are still given by the one before; of calls that come
    at that instant some are cancelled (of 24 clients that asked at once again, 20).

    Args:
        repository: The models.
        interceptors: What every call passes first.

    Raises:
        InputError: The certificate cannot be used.
    """

    def __init__(self, repository: Repository, interceptors: Sequence[Any] = ()) -> None:
        self._repository = repository
        self._settings = repository.settings
        self._interceptors = list(interceptors)
        self._credentials = _credentials(self._settings)
        self._servers: list[Any] = []
        self._retired: set[asyncio.Task[None]] = set()
        self._largest = 0
        self._turn = asyncio.Lock()
        self.port = 0

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            InputError: The port is taken.
        """
        assert self._settings.grpc_port is not None
        self.port = self._settings.grpc_port
        _check_free(self._settings.host, self.port)
        await self.fit()

    async def fit(self) -> None:
        """Take messages as large as the models that are loaded now want them."""
        async with self._turn:
            largest = largest_message(self._repository)
            if largest <= self._largest:
                return
            self._servers.append(await self._started(largest))
            self._largest = largest
            if len(self._servers) > 1:
                await self._retire(self._servers[-2])

    async def _retire(self, server: Any) -> None:
        """End a server once it has answered; wait until it no longer listens.

        It would reset the connections that it has not accepted then, of who was told "ready".
        """
        task = asyncio.ensure_future(server.stop(self._settings.timeout))
        self._retired.add(task)
        task.add_done_callback(lambda _: self._servers.remove(server))
        task.add_done_callback(self._retired.discard)
        await asyncio.wait({task}, timeout=_UNHEARD)

    async def stop(self, grace: float) -> None:
        """Listen no more; end what is in flight after so many seconds."""
        async with self._turn:
            self._largest = sys.maxsize  # no other takes the place
            await asyncio.gather(*(server.stop(grace) for server in self._servers))

    async def _started(self, largest: int) -> Any:
        settings = self._settings
        server = grpc.aio.server(
            interceptors=self._interceptors,
            options=_options(settings, largest),
            maximum_concurrent_rpcs=settings.max_connections,
        )
        reading = Reading(max(LEAST, settings.max_buffered // largest), settings.timeout)
        services = {
            SERVICE: _service_handlers(self._repository, reading),
            HEALTH: _health_handlers(self._repository, reading),
        }
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(*each) for each in services.items()]
        )
        self.port = self._bound(server)
        await server.start()
        return server

    def _bound(self, server: Any) -> int:
        address = netloc(self._settings.host, self.port)
        try:
            if self._credentials is None:
                return int(server.add_insecure_port(address))
            return int(server.add_secure_port(address, self._credentials))
        except RuntimeError as error:
            raise InputError(f"cannot listen for gRPC on {address}: {error}") from error


def _options(settings: Settings, largest: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 1),  # for the server that takes the place of another
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.max_concurrent_streams", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", round(settings.header_timeout * 1000)),
        ("grpc.max_connection_age_ms", _AGE * 1000),
        ("grpc.max_connection_age_grace_ms", round(settings.timeout * 1000)),
    ]


def _check_free(host: str, port: int) -> None:
    """See that nobody listens on the port: another server of ours would share it.

    Raises:
        InputError: Somebody does.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
    except OSError as error:
        address = netloc(host, port)
        raise InputError(f"cannot listen for gRPC on {address}: {error.strerror}") from error


def _credentials(settings: Settings) -> Any:
    if settings.certificate is None or settings.private_key is None:
        return None
    chain, key = (_pem(path) for path in (settings.certificate, settings.private_key))
    return grpc.ssl_server_credentials([(key, chain)])


def _pem(path: Path | None) -> bytes:
    assert path is not None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error

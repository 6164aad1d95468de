"""The gRPC side: who may call, what a call may take, and where it listens."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

from simam_deploy.errors import InputError
from simam_deploy.serve.grpc.health import HEALTH, health_answer
from simam_deploy.serve.grpc.reading import LEAST, Reading
from simam_deploy.serve.grpc.service import METHODS, answered
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.models.seen import looked_at
from simam_deploy.serve.protocol.address import netloc
from simam_deploy.serve.protocol.refusals import INTERNAL, Refusal
from simam_deploy.serve.protocol.room import Share
from simam_deploy.serve.protocol.token import check_token
from simam_deploy.serve.settings import MIB, Settings

SERVICE = "inference.GRPCInferenceService"
OPEN = ("ServerLive", "ServerReady")
"""Asked without a token, by probes."""
EMPTY = (*OPEN, "ServerMetadata")
"""Methods whose message says nothing: it is not taken in."""
_FRAMING = MIB
"""Bytes that a message may have beside its tensors."""
_AGE = 300
"""Seconds after which a client is asked for a new connection: calls that are not over then, as of
one that reads no answer, have a request's time more. Other clients do not notice."""
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


async def start_grpc(repository: Repository, interceptors: Sequence[Any] = ()) -> tuple[Any, int]:
    """Start listening.

    Args:
        repository: The models.
        interceptors: What every call passes first.

    Returns:
        The server and its port.

    Raises:
        InputError: The port is taken, or the certificate cannot be used.
    """
    settings = repository.settings
    largest = settings.max_body + _FRAMING
    server = grpc.aio.server(
        interceptors=list(interceptors),
        options=_options(settings, largest),
        maximum_concurrent_rpcs=settings.max_connections,
    )
    reading = Reading(max(LEAST, settings.max_buffered // largest), settings.timeout)
    services = {
        SERVICE: _service_handlers(repository, reading),
        HEALTH: _health_handlers(repository, reading),
    }
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(*each) for each in services.items()]
    )
    port = _listen(server, settings)
    await server.start()
    return server, port


def _options(settings: Settings, largest: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", round(settings.header_timeout * 1000)),
        ("grpc.max_connection_age_ms", _AGE * 1000),
        ("grpc.max_connection_age_grace_ms", round(settings.timeout * 1000)),
    ]


def _listen(server: Any, settings: Settings) -> int:
    assert settings.grpc_port is not None
    address = netloc(settings.host, settings.grpc_port)
    try:
        if settings.certificate is None or settings.private_key is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, _credentials(settings)))
    except RuntimeError as error:
        raise InputError(f"cannot listen for gRPC on {address}: {error}") from error


def _credentials(settings: Settings) -> Any:
    chain, key = (_pem(path) for path in (settings.certificate, settings.private_key))
    return grpc.ssl_server_credentials([(key, chain)])


def _pem(path: Path | None) -> bytes:
    assert path is not None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error

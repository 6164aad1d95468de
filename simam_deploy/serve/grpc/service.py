"""The protocol over gRPC, in the same event loop.

The message classes are tritonclient's. Methods that are not in the table (shared memory, tracing,
logging, streams) are answered UNIMPLEMENTED by gRPC itself.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from simam_deploy.errors import InputError
from simam_deploy.serve import describe
from simam_deploy.serve.grpc.codec import fill_answer, read_query
from simam_deploy.serve.grpc.health import HEALTH, health_answer
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.protocol.address import netloc
from simam_deploy.serve.protocol.refusals import (
    INTERNAL,
    BadRequest,
    NotFound,
    Refusal,
    Unsupported,
)
from simam_deploy.serve.protocol.token import check_token
from simam_deploy.serve.settings import MIB, Settings

SERVICE = "inference.GRPCInferenceService"
_FRAMING = MIB
"""Bytes that a message may have beside its tensors."""
_log = logging.getLogger(__name__)
Method = Callable[[Repository, Any], Awaitable[Any]]


async def server_live(repository: Repository, request: Any) -> Any:
    """Alive until the process ends."""
    return pb.ServerLiveResponse(live=True)


async def server_ready(repository: Repository, request: Any) -> Any:
    """Ready from the last warm-up to the signal to end."""
    return pb.ServerReadyResponse(ready=repository.ready)


async def model_ready(repository: Repository, request: Any) -> Any:
    """Tell whether a model is ready; one that is not there is not."""
    try:
        repository.get(request.name, request.version)
    except NotFound:
        return pb.ModelReadyResponse(ready=False)
    return pb.ModelReadyResponse(ready=repository.ready)


async def server_metadata(repository: Repository, request: Any) -> Any:
    """Describe the server."""
    return pb.ServerMetadataResponse(**describe.server_document())


async def model_metadata(repository: Repository, request: Any) -> Any:
    """Describe a model."""
    model = repository.get(request.name, request.version)
    return pb.ModelMetadataResponse(**describe.model_document(model))


async def model_config(repository: Repository, request: Any) -> Any:
    """Give a model's configuration."""
    from google.protobuf.json_format import ParseDict

    model = repository.get(request.name, request.version)
    return ParseDict({"config": describe.config_document(model)}, pb.ModelConfigResponse())


async def model_statistics(repository: Repository, request: Any) -> Any:
    """Give what a model did, or every model where none is named."""
    from google.protobuf.json_format import ParseDict

    models = list(repository.models.values())
    if request.name:
        models = [repository.get(request.name, request.version)]
    return ParseDict(describe.statistics_document(models), pb.ModelStatisticsResponse())


async def repository_index(repository: Repository, request: Any) -> Any:
    """List what could be loaded."""
    entries = describe.index_document(repository)
    if request.ready:
        entries = [entry for entry in entries if entry["state"] == "READY"]
    return pb.RepositoryIndexResponse(models=entries)


async def repository_load(repository: Repository, request: Any) -> Any:
    """Load a model anew from the file it was started with."""
    if request.parameters:
        raise Unsupported("a model is loaded from its own file: no parameters are served")
    await repository.load(request.model_name)
    return pb.RepositoryModelLoadResponse()


async def repository_unload(repository: Repository, request: Any) -> Any:
    """Stop serving a model."""
    await repository.unload(request.model_name)
    return pb.RepositoryModelUnloadResponse()


async def model_infer(repository: Repository, request: Any) -> Any:
    """Compute a request."""
    repository.check_loaded()
    model = repository.get(request.model_name, request.model_version)
    model.batcher.check_room()
    query = read_query(request, model.inputs, model.name)
    outputs = await model.infer(query)
    answer = pb.ModelInferResponse()
    fill_answer(answer, model.name, model.version, query, outputs, model.outputs)
    return answer


METHODS: dict[str, tuple[Method, Any]] = {
    "ServerLive": (server_live, pb.ServerLiveRequest),
    "ServerReady": (server_ready, pb.ServerReadyRequest),
    "ModelReady": (model_ready, pb.ModelReadyRequest),
    "ServerMetadata": (server_metadata, pb.ServerMetadataRequest),
    "ModelMetadata": (model_metadata, pb.ModelMetadataRequest),
    "ModelConfig": (model_config, pb.ModelConfigRequest),
    "ModelStatistics": (model_statistics, pb.ModelStatisticsRequest),
    "RepositoryIndex": (repository_index, pb.RepositoryIndexRequest),
    "RepositoryModelLoad": (repository_load, pb.RepositoryModelLoadRequest),
    "RepositoryModelUnload": (repository_unload, pb.RepositoryModelUnloadRequest),
    "ModelInfer": (model_infer, pb.ModelInferRequest),
}


def _handler(repository: Repository, name: str, method: Method, request: Any) -> Any:
    token = repository.settings.token
    guarded = token is not None and name not in ("ServerLive", "ServerReady")

    async def answer(content: bytes, context: Any) -> bytes:
        try:
            if guarded:
                sent = dict(context.invocation_metadata()).get("authorization")
                check_token(token, sent)
            message = await method(repository, _parsed(content, request))
            return bytes(message.SerializeToString())
        except Refusal as refusal:
            code, said = refusal.grpc_code, str(refusal)
        except Exception:  # a bug of ours, as over HTTP: logged whole, told in one word
            _log.exception("%s failed", name)
            code, said = Refusal.grpc_code, INTERNAL
        await context.abort(getattr(grpc.StatusCode, code), said)
        return b""  # never reached: abort raises

    return grpc.unary_unary_rpc_method_handler(answer)


def _health_handler(repository: Repository) -> Any:
    """Answer grpc.health.v1's Check, which orchestrators ask and which brings no token.

    Watch is not served: its clients take that for "no health checking", and ask us again by Check.
    """

    async def check(content: bytes, context: Any) -> bytes:
        try:
            return health_answer(content, repository.ready, SERVICE)
        except Refusal as refusal:
            code, said = refusal.grpc_code, str(refusal)
        await context.abort(getattr(grpc.StatusCode, code), said)
        return b""  # never reached: abort raises

    return grpc.unary_unary_rpc_method_handler(check)


def _parsed(content: bytes, message: Any) -> Any:
    """Parse a request; gRPC itself would answer UNKNOWN to what is none, and log a traceback.

    Raises:
        BadRequest: It is none.
    """
    try:
        return message.FromString(content)
    except DecodeError:
        raise BadRequest(f"the request is no {message.DESCRIPTOR.name}") from None


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
        options=[
            ("grpc.max_receive_message_length", largest),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", settings.max_connections),
        ],
        maximum_concurrent_rpcs=settings.max_connections,
    )
    handlers = {
        name: _handler(repository, name, method, request)
        for name, (method, request) in METHODS.items()
    }
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(SERVICE, handlers),
            grpc.method_handlers_generic_handler(HEALTH, {"Check": _health_handler(repository)}),
        )
    )
    port = _listen(server, settings)
    await server.start()
    return server, port


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

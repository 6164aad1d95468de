"""The protocol's methods over gRPC, in the same event loop.

The message classes are tritonclient's. Methods that are not in the table (shared memory, tracing,
logging, streams) are answered UNIMPLEMENTED by gRPC itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from simam_deploy.serve import describe
from simam_deploy.serve.grpc import codec
from simam_deploy.serve.grpc.wire import take_apart
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.protocol import raw
from simam_deploy.serve.protocol.deadline import Deadline
from simam_deploy.serve.protocol.exchange import Query
from simam_deploy.serve.protocol.packed import told_ports, unpacked
from simam_deploy.serve.protocol.refusals import BadRequest, NotFound, TooLarge, Unsupported
from simam_deploy.serve.protocol.room import Share

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
}
MOST_HERE = 64 << 10
"""Bytes of a message, raw tensors aside, that are parsed in the event loop's thread."""


async def answered(repository: Repository, name: str, content: bytes, share: Share) -> bytes:
    """Answer a call.

    Args:
        repository: The models.
        name: The method, of `METHODS` or "ModelInfer".
        content: Its message as it came.
        share: What it holds of the memory for all.

    Raises:
        Refusal: There is no result.
    """
    if name == "ModelInfer":
        return await model_infer(repository, content, share)
    method, kind = METHODS[name]
    if len(content) > MOST_HERE:
        raise TooLarge(f"a message of {len(content)} bytes, {MOST_HERE} is the limit here")
    message = await method(repository, _parsed(content, kind))
    return bytes(message.SerializeToString())


async def model_infer(repository: Repository, content: bytes, share: Share) -> bytes:
    """Compute a request."""
    repository.check_loaded()
    deadline = Deadline(repository.settings.timeout)
    read = _read_long if len(content) > MOST_HERE else _read_short
    model, query = await read(repository, content, deadline)
    share.take(foreseen := model.foreseen(query), "an answer")
    outputs = await model.infer(query, deadline.spent)
    size = codec.answer_size(query, outputs)
    share.take(size, "an answer", instead_of=foreseen)
    writes = model.name, model.version, query, outputs, model.outputs
    if size > raw.MOST_COPIED:
        return await asyncio.to_thread(codec.write_answer, *writes)
    return codec.write_answer(*writes)


async def _read_short(
    repository: Repository, content: bytes, deadline: Deadline
) -> tuple[Model, Query]:
    """Read a request as it is: protobuf takes a tenth of the time of taking it apart."""
    message = _parsed(content, pb.ModelInferRequest)
    model = repository.get(message.model_name, message.model_version)
    model.batcher.check_room()
    return model, codec.read_query(message, message.raw_input_contents, model.inputs, model.name)


async def _read_long(
    repository: Repository, content: bytes, deadline: Deadline
) -> tuple[Model, Query]:
    """Read a request that may hold much that is raw, or much that is not."""
    parts = take_apart(content)
    model = repository.get(parts.model, parts.version)
    model.batcher.check_room()
    if parts.rest_size <= MOST_HERE:
        message = _parsed(b"".join(parts.rest), pb.ModelInferRequest)
        return model, codec.read_query(message, parts.raw, model.inputs, model.name)
    if parts.raw:
        raise BadRequest("tensors are sent raw, all of them, or none")
    query = await _read_aside(repository, model, content, deadline)
    return repository.get(parts.model, parts.version), query  # it may have been replaced meanwhile


async def _read_aside(
    repository: Repository, model: Model, content: bytes, deadline: Deadline
) -> Query:
    """Have many typed numbers read by another process; the request has its place in the queue."""
    told = {"model": model.name, "ports": told_ports(model.inputs)}
    with model.batcher.place():
        reading = repository.helper.run(codec.read_aside, content, told)
        return unpacked(await deadline.within(reading), model.inputs)


def _parsed(content: bytes, message: Any) -> Any:
    """Parse a request; gRPC itself would answer UNKNOWN to what is none, and log a traceback.

    Raises:
        BadRequest: It is none.
    """
    try:
        return message.FromString(content)
    except DecodeError:
        raise BadRequest(f"the request is no {message.DESCRIPTOR.name}") from None

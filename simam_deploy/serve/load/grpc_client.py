"""The V2 protocol over gRPC, with raw tensors.

The message classes are tritonclient's. A request is serialised once, its reply is not parsed, and
every connection is a channel of its own: 9,800 requests a second and core, 8,000 over one channel.
"""

from __future__ import annotations

from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from simam_deploy.core.arrays import Feeds
from simam_deploy.errors import InputError
from simam_deploy.serve.load.client import ANSWERED, ModelInput, Reply
from simam_deploy.serve.load.target import Target
from simam_deploy.serve.protocol.datatypes import DATATYPES

_SERVICE = "/inference.GRPCInferenceService"
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


class GrpcClient:
    """A server behind gRPC.

    Args:
        target: The server.
        timeout: Seconds until a call counts as failed.
        token: The bearer token, where the server wants one.
    """

    def __init__(self, target: Target, timeout: float, token: str | None) -> None:
        self._target = target
        self._timeout = timeout
        self._fields = (("authorization", f"Bearer {token}"),) if token else ()

    async def models(self) -> list[str]:
        """List the models that are ready."""
        request = service_pb2.RepositoryIndexRequest(ready=True)
        index = await self._ask("RepositoryIndex", request, service_pb2.RepositoryIndexResponse)
        return [entry.name for entry in index.models]

    async def inputs(self, model: str) -> tuple[ModelInput, ...]:
        """Ask for a model's inputs."""
        request = service_pb2.ModelMetadataRequest(name=model)
        metadata = await self._ask("ModelMetadata", request, service_pb2.ModelMetadataResponse)
        return tuple(ModelInput(i.name, i.datatype, tuple(i.shape)) for i in metadata.inputs)

    def wire(self, model: str, feeds: Feeds) -> GrpcWire:
        """Make a connection that will ask for all outputs."""
        request = service_pb2.ModelInferRequest(model_name=model)
        for name, array in feeds.items():
            datatype = DATATYPES[array.dtype]
            request.inputs.add(name=name, datatype=datatype, shape=array.shape)
            request.raw_input_contents.append(array.tobytes())
        return self._wire("ModelInfer", request.SerializeToString())

    def _wire(self, method: str, request: bytes) -> GrpcWire:
        return GrpcWire(self._target, method, request, self._timeout, self._fields)

    async def _ask(self, method: str, request: Any, response: Any) -> Any:
        wire = self._wire(method, request.SerializeToString())
        try:
            reply = await wire.send()
        finally:
            await wire.close()
        if reply.status:
            raise InputError(f"{self._target}: {reply.status} {reply.message}")
        return response.FromString(wire.body)


class GrpcWire:
    """One channel with one request, which it sends again and again."""

    def __init__(
        self,
        target: Target,
        method: str,
        request: bytes,
        timeout: float,
        fields: tuple[tuple[str, str], ...],
    ) -> None:
        self._channel = grpc.aio.insecure_channel(target.authority, options=_OPTIONS)
        self._call = self._channel.unary_unary(f"{_SERVICE}/{method}")
        self._request = request
        self._timeout = timeout
        self._fields = fields

    async def send(self) -> Reply:
        """Send the request and wait for its reply; gRPC connects where it is needed."""
        try:
            self.body = await self._call(
                self._request, timeout=self._timeout, metadata=self._fields
            )
        except grpc.aio.AioRpcError as error:
            return Reply(error.code().name, error.details() or "")
        return ANSWERED

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

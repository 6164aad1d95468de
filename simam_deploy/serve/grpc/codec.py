"""The protocol's gRPC form: tensors as raw bytes or as typed lists; answers always as raw bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.serve.grpc.wire import raw_output
from simam_deploy.serve.protocol.check import Port, check_claims, check_complete, find_port
from simam_deploy.serve.protocol.exchange import Query, Wanted, read_timeout
from simam_deploy.serve.protocol.packed import packed, read_ports
from simam_deploy.serve.protocol.raw import raw_pieces
from simam_deploy.serve.protocol.refusals import BadRequest

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""The typed list of every datatype; FP16 has none."""


def read_aside(content: memoryview, told: dict[str, Any]) -> list[bytes | memoryview]:
    """Read a request of typed tensors in another process: what goes back is packed.

    Args:
        content: The message.
        told: `model` and its `ports`.

    Raises:
        BadRequest: As `read_query`.
    """
    try:
        message = pb.ModelInferRequest.FromString(bytes(content))
    except DecodeError:
        raise BadRequest("the request is no ModelInferRequest") from None
    return packed(read_query(message, [], read_ports(told["ports"]), told["model"]))


def read_query(
    message: Any, raw: Sequence[bytes | memoryview], ports: Mapping[str, Port], model: str
) -> Query:
    """Read a ModelInferRequest.

    Args:
        message: It.
        raw: Its raw tensors, which may have been taken out of it.
        ports: The model's inputs by name.
        model: Its name, for messages.

    Raises:
        BadRequest: It contradicts the protocol or the model.
    """
    if raw and len(raw) != len(message.inputs):
        raise BadRequest(
            f"{len(raw)} raw_input_contents for {len(message.inputs)} inputs: "
            "all tensors are sent raw, or none"
        )
    feeds: dict[str, Array] = {}
    for i, tensor in enumerate(message.inputs):
        port = find_port(ports, tensor.name, model)
        if port.name in feeds:
            raise BadRequest(f"input '{port.name}' is given twice")
        if "shared_memory_region" in tensor.parameters:
            raise BadRequest("shared memory is not served: send the tensor in the request")
        shape = tuple(tensor.shape)
        count = check_claims(port, tensor.datatype, shape)
        flat = _from_raw(port, raw[i], count) if raw else _from_typed(port, tensor, count)
        feeds[port.name] = flat.reshape(shape)
    check_complete(ports, feeds, model)
    return _query(message, feeds)


def _query(message: Any, feeds: Feeds) -> Query:
    if any("classification" in output.parameters for output in message.outputs):
        raise BadRequest("the classification extension is not served")
    wanted = [Wanted(output.name, binary=True) for output in message.outputs]
    timeout = message.parameters["timeout"].int64_param if "timeout" in message.parameters else None
    return Query(feeds, wanted or None, True, message.id, read_timeout(timeout))


def _from_raw(port: Port, content: bytes | memoryview, count: int) -> Array:
    wanted = count * port.dtype.itemsize
    if len(content) != wanted:
        raise BadRequest(
            f"input '{port.name}': got {len(content)} bytes, its shape and data-type make {wanted}"
        )
    return np.frombuffer(content, port.dtype)


def _from_typed(port: Port, tensor: Any, count: int) -> Array:
    field = _CONTENTS.get(port.datatype)
    if field is None:
        raise BadRequest(f"input '{port.name}': {port.datatype} must be sent as raw_input_contents")
    values = getattr(tensor.contents, field)
    if len(values) != count:
        raise BadRequest(
            f"input '{port.name}': {len(values)} values in {field}, its shape makes {count}"
        )
    try:
        return np.fromiter(values, port.dtype, count)
    except OverflowError:
        raise BadRequest(f"input '{port.name}': a value is beyond {port.datatype}") from None


def answer_size(query: Query, outputs: Feeds) -> int:
    """Give the bytes of an answer's tensors."""
    return sum(outputs[name].nbytes for name in _names(query, outputs))


def _names(query: Query, outputs: Feeds) -> list[str]:
    return [output.name for output in query.wanted or ()] or list(outputs)


def write_answer(
    model: str, version: str, query: Query, outputs: Feeds, ports: Mapping[str, Port]
) -> bytes:
    """Write a ModelInferResponse.

    Its raw tensors are put behind what protobuf writes: it would copy each twice more, and let no
    other thread run meanwhile: of 55 MB for 150 ms.
    """
    answer = pb.ModelInferResponse(model_name=model, model_version=version, id=query.request_id)
    names = _names(query, outputs)
    for name in names:
        shape = outputs[name].shape
        answer.outputs.add(name=name, datatype=ports[name].datatype, shape=shape)
    pieces = [answer.SerializeToString()]
    for name in names:
        pieces += [raw_output(outputs[name].nbytes), *raw_pieces(outputs[name])]
    return b"".join(pieces)  # of bytes alone: other threads run meanwhile

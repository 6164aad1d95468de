"""Requests in the protocol's HTTP form: JSON, followed by the raw bytes of binary tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.serve.http.numbers import loads
from simam_deploy.serve.protocol.check import Port, check_claims, check_complete, find_port
from simam_deploy.serve.protocol.datatypes import is_floating
from simam_deploy.serve.protocol.exchange import Query, Wanted, read_timeout
from simam_deploy.serve.protocol.packed import packed, read_ports
from simam_deploy.serve.protocol.refusals import BadRequest, TooLarge

MOST_HERE = 64 << 10
"""Bytes of JSON that are read and written in the event loop's thread: 20 ms at the worst, of lists
in lists."""
MAX_JSON = 32 << 20
"""Bytes of JSON in one request."""
MAX_COST = 704 << 20
"""Bytes that what is in it may take: of numbers in lists of three, 32 MiB take 520."""
_COSTS = {b"[": 104, b"{": 256, b",": 40, b'"': 32}
"""Bytes that Python's objects take at most, by what they begin with or are divided by."""


def is_long(body: bytes, header_length: int | None) -> bool:
    """Tell whether reading a request's JSON would hold others up."""
    return (len(body) if header_length is None else header_length) > MOST_HERE


def read_aside(content: memoryview, told: dict[str, Any]) -> list[bytes | memoryview]:
    """Read a request as `read_query` does, in another process: what goes back is packed.

    Args:
        content: The body.
        told: `header_length`, `model` and its `ports`.

    Raises:
        BadRequest, TooLarge: As `read_query`.
    """
    ports = read_ports(told["ports"])
    return packed(read_query(content, told["header_length"], ports, told["model"]))


def read_query(
    body: bytes | memoryview, header_length: int | None, ports: Mapping[str, Port], model: str
) -> Query:
    """Read an inference request.

    Args:
        body: All of it.
        header_length: Bytes of JSON at its start, if the request says (its header
            Inference-Header-Content-Length); what follows are the binary tensors.
        ports: The model's inputs by name.
        model: Its name, for messages.

    Returns:
        The request; binary tensors are views of `body`.

    Raises:
        BadRequest: It contradicts the protocol or the model.
        TooLarge: There is too much JSON.
    """
    header = _header(body, header_length)
    feeds: dict[str, Array] = {}
    offset = len(body) if header_length is None else header_length
    for entry in _entries(header, "inputs"):
        port = find_port(ports, entry.get("name"), model)
        if port.name in feeds:
            raise BadRequest(f"input '{port.name}' is given twice")
        size = _parameters(entry).get("binary_data_size")
        count = check_claims(port, entry.get("datatype"), entry.get("shape"))
        if size is None:
            feeds[port.name] = _from_json(port, entry, count)
        else:
            feeds[port.name] = _from_bytes(port, entry["shape"], count, size, body, offset)
            offset += size
    check_complete(ports, feeds, model)
    if offset != len(body):
        raise BadRequest(f"{len(body) - offset} bytes after the last binary tensor")
    return _query(header, feeds)


def _header(body: bytes | memoryview, length: int | None) -> dict[str, Any]:
    if length is not None and length > len(body):
        raise BadRequest(f"Inference-Header-Content-Length {length} is beyond the body")
    text = body if length is None else memoryview(body)[:length]
    if len(text) > MAX_JSON:
        raise TooLarge(f"{len(text)} bytes of JSON, {MAX_JSON} is the limit: send tensors binary")
    if len(text) > MOST_HERE:
        _check_cost(bytes(text))
    try:
        header = loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"failed to parse the request JSON: {error}") from None
    if not isinstance(header, dict):
        raise BadRequest("the request JSON is no object")
    return header


def _check_cost(text: bytes) -> None:
    """Refuse JSON that takes far more memory once it is read: 32 MiB of empty lists take 1 GB.

    orjson goes on for half a minute where there is no more.

    Raises:
        TooLarge: It does.
    """
    cost = sum(text.count(mark) * size for mark, size in _COSTS.items())
    if cost > MAX_COST:
        raise TooLarge(
            f"{len(text)} bytes of JSON are too many lists and numbers: send them binary"
        )


def _entries(header: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Give a list of objects; what is absent is an empty one."""
    entries = header.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise BadRequest(f"'{key}' must be a list of objects")
    return entries


def _parameters(entry: Mapping[str, Any]) -> dict[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise BadRequest("'parameters' must be an object")
    if "shared_memory_region" in parameters:
        raise BadRequest("shared memory is not served: send the tensor in the request")
    return parameters


def _from_bytes(
    port: Port,
    shape: Sequence[int],
    count: int,
    size: Any,
    body: bytes | memoryview,
    offset: int,
) -> Array:
    """View a binary tensor; its size is held against its shape and the body first."""
    wanted = count * port.dtype.itemsize
    if type(size) is not int or size != wanted:
        raise BadRequest(
            f"input '{port.name}': binary_data_size is {size!r:.40}, its shape and data-type "
            f"make {wanted}"
        )
    if offset + size > len(body):
        raise BadRequest(
            f"input '{port.name}': {size} bytes were announced, {len(body) - offset} are there "
            "(is Inference-Header-Content-Length right?)"
        )
    return np.frombuffer(body, port.dtype, count, offset).reshape(shape)


def _from_json(port: Port, entry: Mapping[str, Any], count: int) -> Array:
    """Read a tensor of nested or flat JSON numbers; a kind that would not survive is refused."""
    try:
        given = np.asarray(entry["data"])
    except KeyError:
        raise BadRequest(f"input '{port.name}' has neither data nor binary_data_size") from None
    except (ValueError, OverflowError):
        raise BadRequest(f"input '{port.name}': its data form no regular array") from None
    if given.size != count:
        raise BadRequest(f"input '{port.name}': {given.size} values, its shape makes {count}")
    if not _converts(given, port.dtype):
        raise BadRequest(f"input '{port.name}': its data are not {port.datatype} throughout")
    with np.errstate(over="ignore"):
        return given.astype(port.dtype).reshape(entry["shape"])


def _converts(given: Array, dtype: np.dtype[Any]) -> bool:
    """Tell whether every value is one of `dtype`: no text, no fraction or overflow for integers."""
    if dtype.kind == "b":
        return given.dtype.kind == "b"
    if is_floating(dtype):
        return given.dtype.kind in "fiu"
    if given.dtype.kind not in "iu":
        return False
    bounds = np.iinfo(dtype)
    return int(given.min()) >= bounds.min and int(given.max()) <= bounds.max


def _query(header: Mapping[str, Any], feeds: Feeds) -> Query:
    request_id = header.get("id", "")
    if not isinstance(request_id, str):
        raise BadRequest("'id' must be a string")
    parameters = _parameters(header)
    binary = parameters.get("binary_data_output", False) is True
    wanted = None
    if header.get("outputs"):
        wanted = [_wanted(entry, binary) for entry in _entries(header, "outputs")]
    return Query(feeds, wanted, binary, request_id, read_timeout(parameters.get("timeout")))


def _wanted(entry: Mapping[str, Any], binary: bool) -> Wanted:
    parameters = _parameters(entry)
    if parameters.get("classification"):
        raise BadRequest("the classification extension is not served: use /classify")
    return Wanted(str(entry.get("name")), parameters.get("binary_data", binary) is True)

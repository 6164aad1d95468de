"""A request that one process has read, on its way to another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.serve.protocol.check import Port
from simam_deploy.serve.protocol.datatypes import dtype_of
from simam_deploy.serve.protocol.exchange import Query, Wanted
from simam_deploy.serve.protocol.refusals import BadRequest

MOST_BESIDE = 64 << 10
"""Bytes that a request's id and its outputs' names may come to."""


def told_ports(ports: Mapping[str, Port]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Write a model's inputs as JSON can."""
    return [(port.name, port.datatype, port.shape) for port in ports.values()]


def read_ports(told: Sequence[tuple[str, str, Sequence[int]]]) -> dict[str, Port]:
    """Read what `told_ports` gave."""
    return {
        name: Port(name, datatype, dtype_of(datatype), tuple(shape))
        for name, datatype, shape in told
    }


def packed(query: Query) -> list[bytes | memoryview]:
    """Write a request down: all but its tensors as JSON, then each of them.

    Raises:
        BadRequest: All but its tensors is too much.
    """
    beside: dict[str, Any] = {
        "feeds": [(name, array.shape) for name, array in query.feeds.items()],
        "wanted": [(each.name, each.binary) for each in query.wanted or ()],
        "binary": query.binary,
        "request_id": query.request_id,
        "timeout": query.timeout,
    }
    text = json.dumps(beside).encode()
    if len(text) > MOST_BESIDE:
        raise BadRequest(f"the id and the outputs' names come to more than {MOST_BESIDE} bytes")
    return [text, *(_bytes_of(array) for array in query.feeds.values())]


def _bytes_of(array: Array) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def unpacked(parts: Sequence[memoryview], ports: Mapping[str, Port]) -> Query:
    """Read what `packed` wrote; its tensors are views."""
    beside: dict[str, Any] = json.loads(bytes(parts[0]))
    wanted = [Wanted(*each) for each in beside.pop("wanted")]
    feeds = {
        name: np.frombuffer(part, ports[name].dtype).reshape(shape)
        for (name, shape), part in zip(beside.pop("feeds"), parts[1:], strict=True)
    }
    return Query(feeds, wanted or None, **beside)

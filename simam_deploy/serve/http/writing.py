"""An inference answer in the protocol's HTTP form, in pieces, and how long it will be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.serve.http.numbers import dumped
from simam_deploy.serve.protocol.check import Port
from simam_deploy.serve.protocol.exchange import Query, Wanted
from simam_deploy.serve.protocol.raw import raw_pieces

_STEP = 1 << 14
"""Numbers that are written at a time, in 2 ms: a thread that writes more lets no other run."""
_LONGEST = {"b1": 6, "f2": 16, "f4": 16, "f8": 25, "i1": 5, "i2": 7, "i4": 12, "i8": 21}
"""Characters of a number and its comma, by what it is: "-1.17549435e-38,"."""


def wanted_of(query: Query, outputs: Feeds) -> list[Wanted]:
    """Say which outputs an answer has, and in which form."""
    return list(query.wanted or [Wanted(name, query.binary) for name in outputs])


def json_size(query: Query, outputs: Feeds) -> int:
    """Give the most bytes that the tensors of an answer which are JSON can come to."""
    tensors = [outputs[each.name] for each in wanted_of(query, outputs) if not each.binary]
    return sum(array.size * _longest(array) for array in tensors)


def raw_size(query: Query, outputs: Feeds) -> int:
    """Give the bytes of those that are not."""
    return sum(outputs[each.name].nbytes for each in wanted_of(query, outputs) if each.binary)


def _longest(array: Array) -> int:
    kind = array.dtype.kind.replace("u", "i")
    return _LONGEST.get(f"{kind}{array.dtype.itemsize}", _LONGEST["f4"])  # bfloat16 is of no kind


def write_answer(
    model: str, version: str, query: Query, outputs: Feeds, ports: Mapping[str, Port]
) -> tuple[list[bytes], int | None]:
    """Write the answer: its JSON and the binary tensors behind it.

    Returns:
        The body in pieces, and the JSON's length where binary tensors follow.
    """
    header = list(_header(model, version, query, outputs, ports))
    binary = [each.name for each in wanted_of(query, outputs) if each.binary]
    length = sum(map(len, header)) if binary else None
    return [*header, *(piece for name in binary for piece in raw_pieces(outputs[name]))], length


def _header(
    model: str, version: str, query: Query, outputs: Feeds, ports: Mapping[str, Port]
) -> Iterator[bytes]:
    """Write the JSON: orjson's document, taken apart where tensors come into it."""
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if query.request_id:
        answer["id"] = query.request_id
    yield orjson.dumps(answer)[:-1] + b',"outputs":['
    for i, output in enumerate(wanted_of(query, outputs)):
        array = outputs[output.name]
        entry: dict[str, Any] = {
            "name": output.name,
            "datatype": ports[output.name].datatype,
            "shape": array.shape,
        }
        if output.binary:
            entry["parameters"] = {"binary_data_size": array.nbytes}
        yield b"," * (i > 0) + orjson.dumps(entry)[:-1]
        yield from () if output.binary else _data(array)
        yield b"}"
    yield b"]}"


def _data(array: Array) -> Iterator[bytes]:
    """Write a tensor's numbers in row-major order, a step at a time."""
    flat = np.ascontiguousarray(array).reshape(-1)
    yield b',"data":['
    for start in range(0, flat.size, _STEP):
        step = orjson.dumps(dumped(flat[start : start + _STEP]), option=orjson.OPT_SERIALIZE_NUMPY)
        yield b"," * (start > 0) + step[1:-1]
    yield b"]"

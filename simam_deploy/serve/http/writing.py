"""An inference answer in the protocol's HTTP form, in pieces, and how long it will be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.serve.http.codec import MOST_HERE
from simam_deploy.serve.http.numbers import dumped
from simam_deploy.serve.protocol import raw
from simam_deploy.serve.protocol.check import Port
from simam_deploy.serve.protocol.exchange import Query, Wanted

_STEP = 1 << 14
"""Numbers that are written at a time, in 2 ms: a thread that writes more lets no other run."""
_LONGEST = {"b1": 6, "f2": 16, "f4": 16, "f8": 25, "i1": 5, "i2": 7, "i4": 12, "i8": 21}
"""Characters of a number and its comma, by what it is: "-1.17549435e-38,"."""


class Answer:
    """An inference answer, which is measured before it is written.

    Args:
        model: Name of the model that computed it.
        version: Of the model.
        query: What was asked.
        outputs: What came of it.
        ports: The model's outputs.

    Attributes:
        json_size: The most bytes that its tensors which are JSON can come to.
        raw_size: The bytes of those that are not.
    """

    def __init__(
        self, model: str, version: str, query: Query, outputs: Feeds, ports: Mapping[str, Port]
    ) -> None:
        self._said: dict[str, Any] = {"model_name": model, "model_version": version}
        if query.request_id:
            self._said["id"] = query.request_id
        wanted = query.wanted or [Wanted(name, query.binary) for name in outputs]
        self._tensors = [
            (each, outputs[each.name], ports[each.name].datatype) for each in wanted
        ]  # fmt: skip
        self.json_size = self.raw_size = 0
        for each, array, _ in self._tensors:
            if each.binary:
                self.raw_size += array.nbytes
            else:
                self.json_size += array.size * _longest(array)

    @property
    def is_long(self) -> bool:
        """Tell whether writing it would hold others up."""
        return self.json_size > MOST_HERE or self.raw_size > raw.MOST_COPIED

    def write(self) -> tuple[list[bytes], int | None]:
        """Write its JSON and the binary tensors behind it.

        Returns:
            The body in pieces, and the JSON's length where binary tensors follow.
        """
        pieces = self._header()
        binary = [array for each, array, _ in self._tensors if each.binary]
        length = sum(map(len, pieces)) if binary else None
        for array in binary:
            pieces += raw.raw_pieces(array)
        return pieces, length

    def _header(self) -> list[bytes]:
        """Write the JSON: orjson's document, taken apart where tensors come into it."""
        pieces = [orjson.dumps(self._said)[:-1] + b',"outputs":[']
        for i, (output, array, datatype) in enumerate(self._tensors):
            entry: dict[str, Any] = {
                "name": output.name, "datatype": datatype, "shape": array.shape,
            }  # fmt: skip
            if output.binary:
                entry["parameters"] = {"binary_data_size": array.nbytes}
            pieces.append((b"," if i else b"") + orjson.dumps(entry)[:-1])
            if not output.binary:
                pieces += _data(array)
            pieces.append(b"}")
        pieces.append(b"]}")
        return pieces


def _longest(array: Array) -> int:
    kind = array.dtype.kind.replace("u", "i")
    return _LONGEST.get(f"{kind}{array.dtype.itemsize}", _LONGEST["f4"])  # bfloat16 is of no kind


def _data(array: Array) -> Iterator[bytes]:
    """Write a tensor's numbers in row-major order, a step at a time."""
    flat = np.ascontiguousarray(array).reshape(-1)
    yield b',"data":['
    for start in range(0, flat.size, _STEP):
        step = orjson.dumps(dumped(flat[start : start + _STEP]), option=orjson.OPT_SERIALIZE_NUMPY)
        yield b"," * (start > 0) + step[1:-1]
    yield b"]"

"""Messages with raw tensors, which protobuf would copy twice: taken apart, and put together.

https://protobuf.dev/programming-guides/encoding: a message is fields, each a tag and, where that
says so, a length. Raw tensors of a request are used where they lie. Of typed ones protobuf makes
lists, and keeps the interpreter's lock meanwhile: that is done aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simam_deploy.serve.protocol.refusals import BadRequest

_NAME, _VERSION, _RAW, _RAW_OUTPUT = 1, 2, 7, 6
"""Numbers of model_name, model_version, raw_input_contents and, in an answer, raw_output_contents
in the protocol's .proto."""
_MOST_FIELDS = 4096
"""Inputs, outputs, parameters and raw tensors of a request together."""


@dataclass(frozen=True)
class Parts:
    """A request, taken apart.

    Attributes:
        model: It is for.
        version: Of it.
        raw: Its raw tensors.
        rest: All else: fields of a message of the same type.
    """

    model: str
    version: str
    raw: list[memoryview]
    rest: list[memoryview]

    @property
    def rest_size(self) -> int:
        """Count the bytes of all else."""
        return sum(map(len, self.rest))


def take_apart(content: bytes) -> Parts:
    """Take a request apart.

    Raises:
        BadRequest: It is none.
    """
    view = memoryview(content)
    texts = {_NAME: b"", _VERSION: b""}
    raw: list[memoryview] = []
    rest: list[memoryview] = []
    for number, whole, inside in _fields(view):
        if number == _RAW:
            raw.append(inside)
            continue
        rest.append(whole)
        if number in texts:
            texts[number] = bytes(inside)
    name, version = (text.decode(errors="replace") for text in texts.values())
    return Parts(name, version, raw, rest)


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Give every field's number, the whole of it, and what its length spans."""
    at = count = 0
    while at < len(view):
        begin, count = at, count + 1
        tag, at = _number(view, at)
        if tag & 7 != 2 or count > _MOST_FIELDS:  # all fields of this message have a length
            raise BadRequest("the request is no ModelInferRequest")
        length, at = _number(view, at)
        if length > len(view) - at:
            raise BadRequest("the request is no ModelInferRequest: it ends in the middle")
        yield tag >> 3, view[begin : at + length], view[at : at + length]
        at += length


def _number(view: memoryview, at: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte; give it, and where it ends."""
    value = 0
    for i, byte in enumerate(view[at : at + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise BadRequest("the request is no ModelInferRequest: it ends in the middle")


def raw_output(size: int) -> bytes:
    """Begin the field of a raw tensor in an answer: its tag and its length."""
    return bytes((_RAW_OUTPUT << 3 | 2, *_written(size)))


def _written(value: int) -> Iterator[int]:
    """Write a number as `_number` reads it."""
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value

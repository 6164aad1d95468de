"""Is every text in a message UTF-8? protobuf hands out what is not as bytes, which nothing expects.

A string of a proto2 message, as ONNX's are, is not checked while it is parsed.
"""

from __future__ import annotations

from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from simam_deploy.errors import InputError


def check_text(model: onnx.ModelProto) -> None:
    """Check every string field of a message and all it holds; the data of tensors are not read.

    Raises:
        InputError: One is not UTF-8.
    """
    pending: list[Message] = [model]
    while pending:
        message = pending.pop()
        for name, kind, value in _fields(message):
            several = [value] if isinstance(value, str | bytes | Message) else value
            if kind == FieldDescriptor.TYPE_MESSAGE:
                pending.extend(several)
            elif any(isinstance(text, bytes) for text in several):
                raise InputError(f"it is damaged: a {name} in it is not UTF-8")


def _fields(message: Message) -> list[tuple[str, int, Any]]:
    """List the texts and messages in a message: name, kind, value."""
    if not isinstance(message, onnx.TensorProto):
        fields = [(field.name, field.type, value) for field, value in message.ListFields()]
        return [field for field in fields if field[1] in _KINDS]
    # ListFields would copy the data.
    entries = (message.external_data, message.metadata_props)
    texts = ("name", message.name), ("doc_string", message.doc_string)
    return [
        *((name, FieldDescriptor.TYPE_STRING, text) for name, text in texts),
        *(("entry", FieldDescriptor.TYPE_MESSAGE, value) for value in entries),
    ]


_KINDS = (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING)

"""Write a model to disk, one weight tensor at a time.

`onnx.save` builds the whole file in memory twice (message and bytes: 320 MB more for a 98 MB
ResNet-50). Here the message without weights is written first and each initializer after it, so
the cost is the largest single tensor; what lies in an external file is copied by the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import onnx
import onnx_ir as ir

from simam_deploy.graph.file.apart import keep_apart

SINGLE_FILE_LIMIT = 2**31 - 2**24
"""Bytes of weights up to which they go into the .onnx: protobuf's 2 GiB less room for the graph."""

# Field numbers of onnx.proto3, which never change: ModelProto.graph, ModelProto.metadata_props,
# GraphProto.initializer, TensorProto.raw_data; wire type 2 is "length, then bytes".
_GRAPH, _METADATA, _INITIALIZER, _RAW_DATA = (number << 3 | 2 for number in (7, 14, 5, 9))


def write_model(model: ir.Model, path: Path, single_file_limit: int = SINGLE_FILE_LIMIT) -> None:
    """Write `path`, and `path` + `.data` beside it when the weights exceed the limit (bytes).

    Two values of one name, which no reader takes, are kept apart.

    Raises:
        OSError: The disk is full or the folder cannot be written to.
    """
    keep_apart(model)
    tensors = [v.const_value for v in model.graph.initializers.values()]
    if sum(t.nbytes for t in tensors if t is not None) > single_file_limit:
        ir.save(model, path, external_data=f"{path.name}.data")
        return
    weights = _weights(model.graph)
    skeleton = _skeleton(model)
    graph = skeleton.graph.SerializeToString()
    skeleton.ClearField("graph")
    sizes = [_field_size(_tensor_size(header, tensor)) for header, tensor in weights]
    with path.open("wb") as file:
        file.write(skeleton.SerializeToString())
        _write_tag(file, _GRAPH, len(graph) + sum(sizes))
        file.write(graph)
        for header, tensor in weights:
            _write_tag(file, _INITIALIZER, _tensor_size(header, tensor))
            file.write(header)
            _write_tag(file, _RAW_DATA, tensor.nbytes)
            if isinstance(tensor, ir.ExternalTensor):
                tensor.tofile(file)
            else:
                file.write(tensor.tobytes())


def append_metadata(path: Path, entries: Mapping[str, str]) -> None:
    """Add metadata_props to a written model without rewriting it.

    Protobuf lets a repeated field go on at the end of the message, and validation, whose result
    is one of the entries, needs the file first.

    Raises:
        OSError: The disk is full or the file cannot be written to.
    """
    with path.open("ab") as file:
        for key, value in entries.items():
            entry = onnx.StringStringEntryProto(key=key, value=value).SerializeToString()
            _write_tag(file, _METADATA, len(entry))
            file.write(entry)


def _weights(graph: ir.Graph) -> list[tuple[bytes, ir.TensorProtocol]]:
    """Pair every initializer with its message less the data."""
    pairs = []
    for name, value in graph.initializers.items():
        tensor = value.const_value
        assert tensor is not None
        header = onnx.TensorProto(dims=tensor.shape.numpy(), data_type=tensor.dtype, name=name)
        pairs.append((header.SerializeToString(), tensor))
    return pairs


def _skeleton(model: ir.Model) -> onnx.ModelProto:
    """Serialise the model less its initializers, which are back in place afterwards."""
    kept = dict(model.graph.initializers)
    model.graph.initializers.clear()
    try:
        return ir.to_proto(model)
    finally:
        model.graph.initializers.update(kept)


def _tensor_size(header: bytes, tensor: ir.TensorProtocol) -> int:
    return len(header) + _field_size(tensor.nbytes)


def _field_size(length: int) -> int:
    """Bytes of a length-delimited field whose tag takes one byte, as ours inside a graph do."""
    return 1 + sum(1 for _ in _varint(length)) + length


def _write_tag(file: BinaryIO, tag: int, length: int) -> None:
    file.write(bytes((tag, *_varint(length))))


def _varint(number: int) -> Iterator[int]:
    """Split into groups of seven bits, the lowest first, all but the last marked."""
    while number > 0x7F:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number

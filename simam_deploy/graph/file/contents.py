"""The bytes of an .onnx file and of its external data, each read once and held against its hash.

A runtime that is given these loads what was hashed, whatever comes to lie under the names
meanwhile: one that opens the files by itself served another file under the old hash once in 65
loads beside a process that kept replacing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simam_deploy.core.artifacts import Manifest
from simam_deploy.core.files import read_whole
from simam_deploy.core.manifest import manifest_path, read_contents
from simam_deploy.errors import InputError


def onnx_contents(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read an .onnx file, its external data and its manifest.

    Returns:
        The manifest, empty where there is none; and the bytes of the file by its name, and of
        every file of external data by the location that the graph names it by.

    Raises:
        InputError: One cannot be read, is not the manifest's, or lies outside the folder.
    """
    facts, contents = read_contents(path)
    model = contents.pop(path.name)
    # To import onnx and parse the message takes 0.2 s, as long as all else: only where it can name
    # other files at all.
    files = _located(model, path.parent) if b"location" in model else {}
    data = {location: _content(path, file, facts, contents) for location, file in files.items()}
    return facts, {path.name: model, **data}


def with_data(model: bytes, data: Mapping[str, bytes]) -> bytes:
    """Put external data into the message of a model, for a runtime that takes none out of memory.

    Args:
        model: An .onnx file's bytes, checked against its data as `onnx_contents` does.
        data: Of every file of external data by its location.

    Raises:
        EncodeError: Together they are 2 GiB or more, which no message holds.
    """
    import onnx
    from onnx.external_data_helper import ExternalDataInfo

    from simam_deploy.graph.file.tensors import all_tensors, is_external, nbytes

    proto = onnx.ModelProto.FromString(model)
    for tensor in filter(is_external, all_tensors(proto)):
        said = ExternalDataInfo(tensor)
        begin = said.offset or 0
        tensor.raw_data = data[said.location][begin : begin + nbytes(tensor)]
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    whole: bytes = proto.SerializeToString()
    return whole


def _located(model: bytes, folder: Path) -> dict[str, Path]:
    """Find the external data that a model's bytes name, by location."""
    import onnx
    from google.protobuf.message import DecodeError

    from simam_deploy.graph.file.external import check_external, locations
    from simam_deploy.graph.file.tensors import all_tensors

    try:
        proto = onnx.ModelProto.FromString(model)
    except DecodeError:
        return {}  # the runtime says what it is instead
    tensors = list(all_tensors(proto))
    check_external(tensors, folder)
    return locations(tensors, folder)


def _content(path: Path, file: Path, facts: Manifest, contents: Mapping[str, bytes]) -> bytes:
    """Give a file's bytes: those read with the manifest, or, where there is none, read now."""
    if file.name in contents and file == path.with_name(file.name).resolve():
        return contents[file.name]
    if facts:
        raise InputError(
            f"{manifest_path(path)} does not list {file.name}, which {path.name} is made of"
        )
    return read_whole(file)

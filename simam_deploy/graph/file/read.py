"""Open an .onnx file that somebody sent: hostile until proved otherwise.

What is checked, in this order, each before anything relies on it: the file (`read_model`), its
texts (`utf8`), what its tensors claim and where they point (`tensors`, `external`), and what the
graph says (`soundness`), after what every runtime takes is put right (`mend`).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from simam_deploy.errors import InputError
from simam_deploy.graph.file.context import refuse_context
from simam_deploy.graph.file.embed import embed_external
from simam_deploy.graph.file.external import check_external
from simam_deploy.graph.file.interface import refuse_kinds
from simam_deploy.graph.file.mend import mend
from simam_deploy.graph.file.soundness import check_header, check_nodes
from simam_deploy.graph.file.tensors import all_nodes, all_tensors, check_tensors
from simam_deploy.graph.file.utf8 import check_text

_LARGEST_MESSAGE = 2**31 - 1
"""Bytes: protobuf's own limit, for the file without its external data."""

_FILES, _MENDED, _IR = "simam.external_files", "simam.mended", "simam.ir_version"

_STRANGERS = (
    (b"PK\x03\x04", "a zip archive, as torch.save and torch.export write: export it first"),
    (b"\x80", "a pickle, as old torch checkpoints are: export it first"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file with `git lfs pull`"),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"<", "text (HTML or XML), perhaps a failed download"),
    (b"ftrt", "a TensorRT plan"),
    (b"vtrt", "a TensorRT-RTX plan"),
)
"""First bytes that no ONNX model has, and what they tell."""


def read_model(path: Path) -> ir.Model:
    """Read and check `path`; large weights in external files stay there, mapped when they are read.

    Beside the message itself (at most 2 GiB, twice that while it is parsed) this takes memory for
    the nodes alone. Nothing is allocated on a header's word, and no other file is opened before it
    is known to lie in the model's folder.

    Args:
        path: An .onnx file, opset 11 or newer. Its external data lie in its folder or below.

    Returns:
        The model. Its functions and foreign domains are as in the file.

    Raises:
        InputError: The file is missing, damaged, no ONNX model, not sound, or reaches for files
            that are missing, too short or outside its folder.
        GraphError: The graph's types or attributes do not fit together; names the node.
    """
    try:
        proto = _parsed(_content(path))
        check_text(proto)
        check_header(proto)
        refuse_context(proto)
        tensors = list(all_tensors(proto))
        check_tensors(tensors)
        files = check_external(tensors, path.parent)
        _rename_default_domain(proto)
        refuse_kinds(proto)
        stated, mended = proto.ir_version, mend(proto)
        check_nodes(proto)
        model = _converted(proto, path.parent.resolve())
        model.meta.update({_FILES: files, _MENDED: mended, _IR: stated})
        return model
    except InputError as error:
        # In one line: the names in a file may hold anything.
        line = " ".join(str(error).split())
        raise error.reworded(f"cannot use {path}: {line}") from error


def read_message(path: Path) -> onnx.ModelProto:
    """Read a message whose graph need not be one that can be read: of an engine in an .onnx, say.

    Raises:
        InputError: The file is missing, damaged, or no ONNX model.
    """
    try:
        proto = _parsed(_content(path))
        check_text(proto)
        check_header(proto)
        return proto
    except InputError as error:
        line = " ".join(str(error).split())
        raise error.reworded(f"cannot use {path}: {line}") from error


def external_files(model: ir.Model) -> tuple[Path, ...]:
    """List the files beside the .onnx that a model was read from; what is small is in memory."""
    files: tuple[Path, ...] = model.meta.get(_FILES, ())
    return files


def mended(model: ir.Model) -> tuple[str, ...]:
    """Give a line for each thing that was put right in a model while it was read."""
    lines: tuple[str, ...] = model.meta.get(_MENDED, ())
    return lines


def stated_ir_version(model: ir.Model) -> int:
    """Give the IR version that a model's file states."""
    version: int = model.meta.get(_IR, model.ir_version)
    return version


def _content(path: Path) -> bytes:
    """Read a regular file that may be a model.

    Raises:
        InputError: It is none.
    """
    try:
        found = path.stat()
        _check_kind(found)
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError("no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(getattr(error, "strerror", None) or str(error)) from error


def _check_kind(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise InputError("it is a directory, an .onnx file was expected")
    if not stat.S_ISREG(found.st_mode):
        raise InputError("it is no regular file, an .onnx file was expected")
    if found.st_size == 0:
        raise InputError("the file is empty")
    if found.st_size > _LARGEST_MESSAGE:
        raise InputError(
            f"{found.st_size / 1e9:.1f} GB in one file, protobuf holds 2.1 GB; "
            "export it again with external data"
        )


def _parsed(content: bytes) -> onnx.ModelProto:
    """Parse a message; protobuf refuses to go deeper than 100 levels, 32 nested subgraphs.

    Raises:
        InputError: It is none, or is cut short.
    """
    for start, meaning in _STRANGERS:
        if content.startswith(start):
            raise InputError(f"no ONNX model but {meaning}")
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content):
        raise InputError("no ONNX model but a safetensors file: it holds weights without a network")
    try:
        proto: onnx.ModelProto = onnx.ModelProto.FromString(content)
        return proto
    except DecodeError:
        raise InputError(
            "no ONNX model, or one that is cut short, damaged or nested deeper than 32 subgraphs; "
            "fetch or export it again"
        ) from None


def _converted(proto: onnx.ModelProto, folder: Path) -> ir.Model:
    """Turn a checked message into a model whose external tensors know their folder."""
    try:
        model: ir.Model = ir.from_proto(proto)
    except (ir.serde.SerdeError, ValueError, NotImplementedError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise InputError(f"the graph cannot be read: {reason}") from error
    # An absolute folder: onnx_ir checks nothing where the base is "".
    ir.external_data.set_base_dir(model.graph, folder)
    try:
        embed_external(model)
    except (OSError, ValueError) as error:
        raise InputError(f"its external data cannot be read: {error}") from error
    return model


def _rename_default_domain(proto: onnx.ModelProto) -> None:
    """Write the default domain as "", never by its other name."""
    imports = [*proto.opset_import, *(o for f in proto.functions for o in f.opset_import)]
    nodes = (proto.graph.node, *(function.node for function in proto.functions))
    for item in (*imports, *(node for inner in nodes for node in all_nodes(inner))):
        if item.domain == "ai.onnx":
            item.domain = ""

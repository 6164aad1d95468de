"""Where a model's external data lie. Paths are judged before anything is opened."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import onnx

from simam_deploy.errors import InputError
from simam_deploy.graph.file.tensors import is_external, nbytes

_KEYS = {"location", "offset", "length", "checksum", "basepath"}
"""What ONNX defines. onnx once set any other key as an attribute of its own object."""

_LONGEST_NUMBER = 18


class _Span(NamedTuple):
    """The bytes [start, end) of a file, which the tensor `name` consists of."""

    file: Path
    start: int
    end: int
    name: str


def check_external(tensors: Iterable[onnx.TensorProto], folder: Path) -> tuple[Path, ...]:
    """Check that all external data lie inside `folder`, whole, and no two tensors overlap.

    Several tensors may share exactly the same bytes, as tied weights do.

    Returns:
        The files, symbolic links followed.

    Raises:
        InputError: A location leaves the folder, is missing, no regular file, or too short.
    """
    root = folder.resolve()
    external = [_span(tensor, root) for tensor in tensors if is_external(tensor)]
    spans = sorted(span for span in external if span.start < span.end)
    for a, b in itertools.pairwise(spans):
        same = (a.start, a.end) == (b.start, b.end)
        if a.file == b.file and b.start < a.end and not same:
            raise InputError(f"tensors {a.name!r} and {b.name!r} overlap in {a.file.name}")
    return tuple(dict.fromkeys(span.file for span in sorted(external)))


def locations(tensors: Iterable[onnx.TensorProto], folder: Path) -> dict[str, Path]:
    """Give the file of every location that tensors name, symbolic links followed.

    Raises:
        InputError: As `check_external`.
    """
    root = folder.resolve()
    named = {
        entry.value: tensor.name
        for tensor in tensors
        if is_external(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return {location: _located(tensor, location, root) for location, tensor in named.items()}


def _span(tensor: onnx.TensorProto, root: Path) -> _Span:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) != len(tensor.external_data) or not entries.keys() <= _KEYS:
        raise InputError(f"tensor {tensor.name!r} describes its external data ambiguously")
    size = nbytes(tensor)
    offset = _number(tensor, "offset", entries.get("offset", "0"))
    length = _number(tensor, "length", entries.get("length", str(size)))
    if length != size:
        raise InputError(
            f"tensor {tensor.name!r} takes {size} bytes for its shape {list(tensor.dims)}, "
            f"its external data are {length}"
        )
    file = _located(tensor.name, entries.get("location", ""), root)
    if offset + length > file.stat().st_size:
        raise InputError(
            f"{file.name} ends at byte {file.stat().st_size}, tensor {tensor.name!r} at "
            f"{offset + length}: the external data are cut short, fetch them again"
        )
    return _Span(file, offset, offset + length, tensor.name)


def _number(tensor: onnx.TensorProto, key: str, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
        return int(text)
    raise InputError(f"tensor {tensor.name!r} has the impossible {key} {text[:40]!r}")


def _located(name: str, location: str, root: Path) -> Path:
    """Return the file that `location` means, inside `root`, symbolic links followed.

    Raises:
        InputError: It is elsewhere, missing, or none that can be trusted.
    """
    for flavour in (PurePosixPath(location), PureWindowsPath(location)):
        if flavour.anchor or ".." in flavour.parts:
            raise InputError(_outside(name, location))
    try:
        file = (root / location).resolve()
        if root not in file.parents:
            raise InputError(_outside(name, location))
        found = file.stat()
    except FileNotFoundError:
        raise InputError(
            f"its external data {location!r} are missing: put that file beside the model"
        ) from None
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a name too long, a loop of links
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"its external data {location[:80]!r} cannot be found: {reason[:100]}"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"its external data {location!r} are no regular file")
    if found.st_nlink > 1:
        # onnx_ir refuses it as well: a hard link into the folder may be of any file outside.
        raise InputError(f"its external data {location!r} are hard-linked elsewhere: copy the file")
    return file


def _outside(name: str, location: str) -> str:
    return (
        f"tensor {name!r} points to {location[:80]!r}, outside the model's folder; "
        "external data are only read from that folder and below"
    )

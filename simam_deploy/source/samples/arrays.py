"""Samples in .npy and .npz files, read row by row.

Neither np.load nor its memory map: the first allocates what a header claims, a compressed .npz
as a whole, and the second does not read .npz. Here a header is held against the size of what
stands behind it, and never more than a sample is in memory.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import TensorSpec, in_float32
from simam_deploy.errors import InputError
from simam_deploy.source.samples.inputs import Sample
from simam_deploy.source.samples.pictures import from_array, require_pillow
from simam_deploy.source.samples.placement import Sides
from simam_deploy.source.samples.preparation import Preparation

IMAGE_NAMES = ("images", "x", "data")
LABEL_NAMES = ("labels", "y")
LARGEST_SAMPLE = 2**30
"""In bytes; a compressed file of a megabyte can hold a gigabyte of zeros."""

_KINDS = {"f": "float", "i": "whole", "u": "whole", "b": "bool"}
"""By NumPy's letter, which types may stand for each other."""
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Rows:
    """An array on disk, a row for each sample.

    Attributes:
        name: For messages.
        reopen: Opens the .npy stream at its start.
        start: Bytes before the first row.
        shape: Of the whole array.
        dtype: Of its elements.
    """

    name: str
    reopen: Callable[[], IO[bytes]]
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, chosen: Sequence[int]) -> Iterator[Array]:
        """Yield the chosen rows, which are in ascending order.

        Raises:
            InputError: The file ends early or is damaged.
        """
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        with _explained(self.name), self.reopen() as stream:
            for index in chosen:
                stream.seek(self.start + index * size)
                row = stream.read(size)
                if len(row) != size:
                    raise InputError(f"{self.name} ends within sample {index}")
                yield np.frombuffer(row, self.dtype).reshape(self.shape[1:])


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what a damaged file makes its readers raise into one line."""
    try:
        yield
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name} cannot be read: {reason}") from error


def _open_rows(name: str, reopen: Callable[[], IO[bytes]], size: int, whole: bool = False) -> Rows:
    """Read a header and hold it against the stream's size in bytes; all is one row if `whole`."""
    with _explained(name), reopen() as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f".npy version {version} is unknown")
        shape, fortran, dtype = _HEADERS[version](stream)
        start = stream.tell()
    shape = (1, *shape) if whole else shape
    if dtype.hasobject or dtype.fields or fortran:
        kind = "column-major" if fortran else f"of {dtype}"
        raise InputError(f"{name} is {kind}: wanted plain numbers, row by row")
    if not shape or min(shape) < 1:
        raise InputError(f"{name} has shape {shape}: there are no samples in it")
    if start + math.prod(shape) * dtype.itemsize != size:
        raise InputError(f"{name} claims {dtype} {shape}, which is not what {size} bytes hold")
    if math.prod(shape[1:]) * dtype.itemsize > LARGEST_SAMPLE:
        raise InputError(f"{name} has samples {shape[1:]} of {dtype}: more than a gigabyte each")
    return Rows(name, reopen, start, shape, dtype)


class ArraySamples:
    """The rows of an array, and labels if there are any.

    Args:
        rows: The samples.
        labels: As many whole numbers, or None.
        prepare: Makes a sample of a row, and says how much of it is no padding.
        others: By further input its rows, as many, and what makes an array of one.
        whole: By further input what is the same for every sample.
    """

    classes: tuple[str, ...] | None = None
    by_place = False
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        rows: Rows,
        labels: Rows | None,
        prepare: Callable[[Array], tuple[Array, Sides]],
        others: Mapping[str, tuple[Rows, Callable[[Array], Array]]] | None = None,
        whole: Mapping[str, Array] | None = None,
    ) -> None:
        self.labelled = labels is not None
        self._rows, self._labels, self._prepare = rows, labels, prepare
        self._others, self._whole = others or {}, whole or {}

    def __len__(self) -> int:
        """Count the rows."""
        return self._rows.shape[0]

    def read(self, chosen: Sequence[int]) -> Iterator[Sample]:
        """Yield the chosen rows as samples."""
        labels: Iterator[Any] = itertools.repeat(0, len(chosen))
        if self._labels is not None:
            labels = self._labels.read(chosen)
        further = {
            name: map(make, rows.read(chosen)) for name, (rows, make) in self._others.items()
        }
        for index, row, label in zip(chosen, self._rows.read(chosen), labels, strict=True):
            array, size = self._prepare(row)
            others = {name: next(arrays) for name, arrays in further.items()}
            name = f"{self._rows.name}[{index}]"
            yield Sample(name, array, int(label), size, {**others, **self._whole})


def open_arrays(path: Path, spec: TensorSpec, prepare: Preparation | None) -> ArraySamples:
    """Open a .npy or .npz file.

    Raises:
        InputError: It is damaged, or its arrays fit neither the input nor each other.
    """
    if path.suffix.lower() == ".npy":
        rows = _open_rows(path.name, lambda: path.open("rb"), path.stat().st_size)
        return ArraySamples(rows, None, _row_reader(rows, spec, prepare))
    members = list_members(path)
    images = _first(members, (spec.name, *IMAGE_NAMES))
    if images is None:
        wanted, there = ", ".join((spec.name, *IMAGE_NAMES)), ", ".join(sorted(members))
        raise InputError(f"{path.name} has no array {wanted}; there is {there[:200] or 'nothing'}")
    rows = open_member(path, members[images])
    labels = open_labels(path, members, rows, (images,))
    return ArraySamples(rows, labels, _row_reader(rows, spec, prepare))


def list_members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """List an .npz file's arrays by name."""
    with _explained(path.name), zipfile.ZipFile(path) as archive:
        return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _first(members: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in members), None)


def open_member(path: Path, info: zipfile.ZipInfo, whole: bool = False) -> Rows:
    """Open an array of an .npz file.

    Raises:
        InputError: It is damaged, empty, or of no plain numbers.
    """

    def reopen() -> IO[bytes]:
        with zipfile.ZipFile(path) as archive:  # the stream keeps the file open by itself
            return archive.open(info)

    name = f"{path.name}:{info.filename.removesuffix('.npy')}"
    return _open_rows(name, reopen, info.file_size, whole)


def open_labels(
    path: Path, members: Mapping[str, zipfile.ZipInfo], rows: Rows, inputs: Sequence[str]
) -> Rows | None:
    """Open the labels of an .npz file, None where there are none.

    Args:
        path: The file.
        members: Its arrays.
        rows: The samples.
        inputs: Names of arrays that are inputs.

    Raises:
        InputError: They are no whole numbers, or not as many as the samples.
    """
    name = _first(members, [name for name in LABEL_NAMES if name not in inputs])
    if name is None:
        return None
    labels = open_member(path, members[name])
    if labels.dtype.kind not in "iu" or labels.shape != rows.shape[:1]:
        raise InputError(
            f"{labels.name} is {labels.dtype} {labels.shape}: wanted whole numbers, one for each "
            f"of the {rows.shape[0]} samples"
        )
    return labels


def _row_reader(
    rows: Rows, spec: TensorSpec, prepare: Preparation | None
) -> Callable[[Array], tuple[Array, Sides]]:
    """Choose how a row becomes a sample.

    Raises:
        InputError: The rows are neither numbers in the input's shape nor pictures of uint8.
    """
    read = value_reader(rows, spec.dtype, spec.shape[1:])
    if read is not None:
        return lambda row: (read(row), sides_of(row.shape))
    if rows.dtype == np.uint8 and prepare is not None:
        require_pillow()
        order = _channels_last(rows.shape[1:])
        if order is not None:
            return lambda row: _prepared(prepare, row.transpose(order))
    pictures = ", or uint8 pictures (N, H, W, 3), (N, 3, H, W) or (N, H, W)" if prepare else ""
    numbers = "floats " if in_float32(spec.dtype) == "float32" else ""
    raise InputError(f"{rows.name} is {rows.dtype} {rows.shape}: wanted {numbers}{spec}{pictures}")


def value_reader(
    rows: Rows, dtype: str, shape: tuple[int | str, ...]
) -> Callable[[Array], Array] | None:
    """Choose how a row becomes numbers of an input's type: floats of floats, whole of whole ones.

    Args:
        rows: Whose rows are read.
        dtype: The input's; halves are float32 until the model is run.
        shape: The input's, without the batch.

    Returns:
        What raises InputError where the type does not hold a whole number; None where the rows
        are of another kind or shape.
    """
    wanted = np.dtype(in_float32(dtype))
    if _KINDS.get(rows.dtype.kind) != _KINDS[wanted.kind] or not _fits(rows.shape[1:], shape):
        return None

    def read(row: Array) -> Array:
        with np.errstate(over="ignore"):  # infinity is refused with the sample
            made = row.astype(wanted)
        if wanted.kind != "f" and (made != row).any():
            raise InputError(f"{rows.name} holds {row.min()} to {row.max()}: {wanted} does not")
        return made

    return read


def _prepared(prepare: Preparation, pixels: Array) -> tuple[npt.NDArray[np.float32], Sides]:
    """Prepare (H, W) or (H, W, 3)."""
    height, width = pixels.shape[:2]
    return prepare(from_array(np.ascontiguousarray(pixels))), prepare.extent((height, width))


def sides_of(shape: tuple[int, ...]) -> Sides:
    """Take the last two axes for height and width: nothing says that a part is padding."""
    height, width = (1, 1, *shape)[-2:]
    return height, width


def _fits(shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        isinstance(w, str) or n == w for n, w in zip(shape, wanted, strict=True)
    )


def _channels_last(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Say how to transpose a row to (H, W) or (H, W, 3), or that it is no picture."""
    if len(shape) == 2:
        return (0, 1)
    if len(shape) == 3 and shape[2] == 3:
        return (0, 1, 2)
    return (1, 2, 0) if len(shape) == 3 and shape[0] == 3 else None

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
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.samples.inputs import Sample
from simam_deploy.source.samples.pictures import from_array, require_pillow
from simam_deploy.source.samples.placement import Sides
from simam_deploy.source.samples.preparation import Preparation

IMAGE_NAMES = ("images", "x", "data")
LABEL_NAMES = ("labels", "y")
LARGEST_SAMPLE = 2**30
"""In bytes; a compressed file of a megabyte can hold a gigabyte of zeros."""

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


def _open_rows(name: str, reopen: Callable[[], IO[bytes]], size: int) -> Rows:
    """Read a header and hold it against the stream's size in bytes."""
    with _explained(name), reopen() as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f".npy version {version} is unknown")
        shape, fortran, dtype = _HEADERS[version](stream)
        start = stream.tell()
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
    """

    classes: tuple[str, ...] | None = None
    by_place = False
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        rows: Rows,
        labels: Rows | None,
        prepare: Callable[[Array], tuple[npt.NDArray[np.float32], Sides]],
    ) -> None:
        self.labelled = labels is not None
        self._rows, self._labels, self._prepare = rows, labels, prepare

    def __len__(self) -> int:
        """Count the rows."""
        return self._rows.shape[0]

    def read(self, chosen: Sequence[int]) -> Iterator[Sample]:
        """Yield the chosen rows as samples."""
        labels: Iterator[Any] = itertools.repeat(0, len(chosen))
        if self._labels is not None:
            labels = self._labels.read(chosen)
        for index, row, label in zip(chosen, self._rows.read(chosen), labels, strict=True):
            array, size = self._prepare(row)
            yield Sample(f"{self._rows.name}[{index}]", array, int(label), size)


def open_arrays(path: Path, spec: TensorSpec, prepare: Preparation | None) -> ArraySamples:
    """Open a .npy or .npz file.

    Raises:
        InputError: It is damaged, or its arrays fit neither the input nor each other.
    """
    if path.suffix.lower() == ".npy":
        rows = _open_rows(path.name, lambda: path.open("rb"), path.stat().st_size)
        return ArraySamples(rows, None, _row_reader(rows, spec, prepare))
    members = _members(path)
    images = _first(members, (spec.name, *IMAGE_NAMES))
    if images is None:
        wanted, there = ", ".join((spec.name, *IMAGE_NAMES)), ", ".join(sorted(members))
        raise InputError(f"{path.name} has no array {wanted}; there is {there[:200] or 'nothing'}")
    rows = _open_member(path, members[images])
    name = _first(members, LABEL_NAMES)
    labels = _open_member(path, members[name]) if name else None
    if labels is not None:
        _check_labels(labels, rows)
    return ArraySamples(rows, labels, _row_reader(rows, spec, prepare))


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """List an .npz file's arrays by name."""
    with _explained(path.name), zipfile.ZipFile(path) as archive:
        return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _first(members: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in members), None)


def _open_member(path: Path, info: zipfile.ZipInfo) -> Rows:
    def reopen() -> IO[bytes]:
        with zipfile.ZipFile(path) as archive:  # the stream keeps the file open by itself
            return archive.open(info)

    return _open_rows(f"{path.name}:{info.filename.removesuffix('.npy')}", reopen, info.file_size)


def _check_labels(labels: Rows, rows: Rows) -> None:
    if labels.dtype.kind not in "iu" or labels.shape != rows.shape[:1]:
        raise InputError(
            f"{labels.name} is {labels.dtype} {labels.shape}: wanted whole numbers, one for each "
            f"of the {rows.shape[0]} samples"
        )


def _row_reader(
    rows: Rows, spec: TensorSpec, prepare: Preparation | None
) -> Callable[[Array], tuple[npt.NDArray[np.float32], Sides]]:
    """Choose how a row becomes a sample.

    Raises:
        InputError: The rows are neither floats in the input's shape nor pictures of uint8.
    """
    if rows.dtype.kind == "f" and _fits(rows.shape[1:], spec.shape[1:]):
        return lambda row: (row.astype(np.float32), _sides(row.shape))
    if rows.dtype == np.uint8 and prepare is not None:
        require_pillow()
        order = _channels_last(rows.shape[1:])
        if order is not None:
            return lambda row: _prepared(prepare, row.transpose(order))
    pictures = ", or uint8 pictures (N, H, W, 3), (N, 3, H, W) or (N, H, W)" if prepare else ""
    raise InputError(f"{rows.name} is {rows.dtype} {rows.shape}: wanted floats {spec}{pictures}")


def _prepared(prepare: Preparation, pixels: Array) -> tuple[npt.NDArray[np.float32], Sides]:
    """Prepare (H, W) or (H, W, 3)."""
    height, width = pixels.shape[:2]
    return prepare(from_array(np.ascontiguousarray(pixels))), prepare.extent((height, width))


def _sides(shape: tuple[int, ...]) -> Sides:
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

"""The zip container of torch.save: read its pickle, trusting no size that it states.

The pickle is screened as `zipfile` sees it and loaded as torch's own zip reader sees it. So that
both see the same, only the plain layout that torch.save writes is let through: records stored
uncompressed, names unique without regard to case (as torch's reader looks them up), the archive
starting at the file's first byte and ending at its last, one directory, which both find by the
same fields. What torch's reader then sees is held against it: a second directory once led it to a
TorchScript archive, whose code torch.load runs.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

import torch

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.claims import MAX_PICKLE_BYTES
from simam_deploy.source.checkpoint.content import ADVICE

_ENCRYPTED = 1
_END_BYTES = 22
"""The end-of-archive record, whose last two bytes are the length of the comment after it."""
_LOCATOR_BYTES = 20
"""Of an archive over 4 GB it stands before that record, and says where the 64-bit one is."""
_END64_BYTES = 56


class Archive(NamedTuple):
    """The pickle of an archive, and the size in bytes of each storage, by its key."""

    pickle: bytes
    storages: dict[str, int]


def read_archive(path: Path, size: int) -> Archive:
    """Read the pickle and the directory of the archive at `path`, `size` bytes long.

    Raises:
        CheckpointError: It is cut off, tampered with, or something other than torch.save wrote it.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            if not records:
                raise CheckpointError("is a zip archive with nothing in it")
            root = records[0].filename.partition("/")[0]
            names = {record.filename: record.file_size for record in records}
            _check_contents(names, root)
            _check_layout(records, size)
            _check_end(file, archive.start_dir)
            pickle = archive.read(f"{root}/data.pkl")
            _check_reader(file, root, names, pickle)
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"is a torch file that is cut off or damaged ({error}): copy or download it again"
        ) from None
    prefix = f"{root}/data/"
    return Archive(
        pickle, {n.removeprefix(prefix): s for n, s in names.items() if n.startswith(prefix)}
    )


def _check_layout(records: Sequence[zipfile.ZipInfo], size: int) -> None:
    if any(r.compress_type != zipfile.ZIP_STORED or r.flag_bits & _ENCRYPTED for r in records):
        raise CheckpointError(
            "is a compressed or encrypted zip archive, which torch.save does not write: "
            f"unpack it first, or {ADVICE}"
        )
    claimed = sum(max(record.file_size, record.compress_size) for record in records)
    if claimed > size:
        raise CheckpointError(f"claims {claimed:,} bytes of records in a file of {size:,} bytes")
    names = {record.filename.lower() for record in records}
    if len(names) != len(records) or min(record.header_offset for record in records):
        raise CheckpointError(
            "is a zip archive with doubled names or with bytes before it, which torch.save does "
            f"not write: {ADVICE}"
        )


def _check_end(file: IO[bytes], directory: int) -> None:
    """Hold where the archive ends and where it says its directory is against where that was."""
    tail_bytes = _END64_BYTES + _LOCATOR_BYTES + _END_BYTES
    size = file.seek(0, os.SEEK_END)
    file.seek(-min(size, tail_bytes), os.SEEK_END)
    tail = file.read().rjust(tail_bytes, b"\0")
    end64, locator, end = tail[:_END64_BYTES], tail[_END64_BYTES:-_END_BYTES], tail[-_END_BYTES:]
    if not (end.startswith(b"PK\x05\x06") and end.endswith(b"\0\0")):
        raise CheckpointError(
            f"is a zip archive with bytes after it, which torch.save does not write: {ADVICE}"
        )
    claims = [(*struct.unpack("<I", end[16:20]), directory)]
    if locator.startswith(b"PK\x06\x07"):
        claims = [
            (*struct.unpack("<Q", locator[8:16]), size - tail_bytes),
            (*struct.unpack("<Q", end64[48:56]), directory),
        ]
    if any(claimed != found for claimed, found in claims):
        raise _ambiguous()


def _check_reader(file: IO[bytes], root: str, names: dict[str, int], pickle: bytes) -> None:
    """Hold what torch's reader sees, which is what is loaded, against what zipfile saw."""
    file.seek(0)
    reader = torch._C.PyTorchFileReader(file)
    seen = [f"{root}/{name}" for name in reader.get_all_records()]
    if seen != list(names) or reader.get_record("data.pkl") != pickle:
        raise _ambiguous()


def _ambiguous() -> CheckpointError:
    return CheckpointError(
        f"is a zip archive that two readers read as two, which torch.save does not write: {ADVICE}"
    )


def _check_contents(names: dict[str, int], root: str) -> None:
    if f"{root}/constants.pkl" in names:
        raise CheckpointError(f"is a TorchScript archive, code and weights in one: {ADVICE}")
    if f"{root}/archive_format" in names or "serialized_exported_program.json" in names:
        raise CheckpointError(f"is a torch.export program (.pt2): {ADVICE}")
    if f"{root}/data.pkl" not in names:
        listed = ", ".join(sorted(names)[:3])
        raise CheckpointError(
            f"is a zip archive that torch.save did not write (it holds {listed}): unpack it first"
        )
    if names[f"{root}/data.pkl"] > MAX_PICKLE_BYTES:
        raise CheckpointError(
            f"has a pickle of {names[f'{root}/data.pkl']:,} bytes besides its tensors, more than "
            f"the {MAX_PICKLE_BYTES:,} that are read: {ADVICE}"
        )

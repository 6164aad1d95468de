"""Files: what their names say, what belongs to them, and the hash that they are known by."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from simam_deploy.errors import InputError

CHECKPOINTS = (".pth", ".pt", ".tar", ".pt2", ".safetensors", ".ckpt", ".bin")
SOURCES = (*CHECKPOINTS, ".onnx")
PLANS = (".engine", ".plan", ".trt")
"""Suffixes of a plan."""
_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """Hash a file, as 64 hexadecimal digits, in pieces of 1 MiB."""
    digest, block = hashlib.sha256(), memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            digest.update(block[:size])
    return digest.hexdigest()


def stem_of(path: Path, suffixes: Sequence[str] = SOURCES) -> str:
    """Take every known suffix off: `best.pth.tar` is `best`."""
    while path.suffix.lower() in suffixes:
        path = path.with_suffix("")
    return path.name


@contextlib.contextmanager
def named_in_text(path: Path) -> Iterator[Path]:
    """Give a file a name that is UTF-8, for libraries that take no other: safetensors, torch's C++.

    Where its own is not, that is a link, of the same suffix. What was mapped by it stays so when
    it is gone.
    """
    if os.fsencode(path).decode("utf-8", "ignore") == str(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "named" + os.fsencode(path.suffix).decode("utf-8", "ignore"))
        link.symlink_to(path.resolve())
        yield link


def data_of(artifact: Path) -> Path:
    """Say where the external data of an .onnx lie that was written here."""
    return artifact.with_name(f"{artifact.name}.data")


def parts(artifact: Path) -> list[Path]:
    """List the files that make up an .onnx: itself and its external data, if it has any."""
    data = data_of(artifact)
    has_data = artifact.suffix.lower() == ".onnx" and data.exists()
    return [artifact, data] if has_data else [artifact]


def read_whole(path: Path) -> bytes:
    """Read a file of whatever size, once: what is hashed of it and what is used are the same bytes.

    Raises:
        InputError: It is missing, no regular file, or cannot be read.
    """
    content = _read_file(path, None)
    if content is None:
        raise InputError(f"cannot read {path}: No such file or directory")
    return content


def read_small(path: Path, most: int) -> bytes | None:
    """Read a file of at most `most` bytes; None where there is none.

    Raises:
        InputError: It is larger, which is told before it is read, no regular file, or cannot be
            read. A pipe, which would be waited for, is not.
    """
    return _read_file(path, most)


def _read_file(path: Path, most: int | None) -> bytes | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    try:
        return _read(handle, path, most)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(handle)


def _read(handle: int, path: Path, most: int | None) -> bytes:
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"cannot read {path}: it is no regular file")
    if most is not None and facts.st_size > most:
        bound = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
        raise InputError(f"cannot read {path}: it has {facts.st_size / 1e6:.3g} MB, over {bound}")
    with os.fdopen(handle, "rb", closefd=False) as file:
        return file.read(most)

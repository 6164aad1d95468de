"""Tell what a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import enum
import os
import stat
from pathlib import Path

from simam_deploy.errors import CheckpointError

HEAD_BYTES = 1024
MAX_SAFETENSORS_HEADER = 100_000_000
"""The cap that the safetensors library itself puts on a header, in bytes."""
ADVICE = "save the network's state_dict with torch.save and give that file"
TAR = f"a tar archive: unpack it first, or {ADVICE}"

_STRANGERS = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file it stands for: run `git lfs pull`",
    ),
    (b"\x1f\x8b", "gzip-compressed: unpack it first"),
    (b"\x89HDF", f"an HDF5 (Keras) file: {ADVICE}"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x93NUMPY", f"a NumPy array file: {ADVICE}"),
)
_ONNX_FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42"
"""An ONNX model starts with its IR version (field 1); one of these fields comes next."""


class Kind(enum.Enum):
    """The containers that are read here."""

    ZIP = "zip"
    """torch.save since PyTorch 1.6."""
    PICKLE = "pickle"
    """torch.save before 1.6: pickles one after the other, then the storages."""
    SAFETENSORS = "safetensors"


def file_size(path: Path) -> int:
    """Return the size in bytes of the regular file at `path`.

    Raises:
        CheckpointError: There is none, it is empty, or it is a folder, a pipe or a device; opening
            one of those could wait for ever.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"no such file in {os.fspath(path.absolute().parent)!r}") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise CheckpointError(f"cannot be read: {reason(error)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise CheckpointError("is a folder: give the checkpoint file in it")
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError("is a pipe or a device, not a file: save it to disk first")
    if not status.st_size:
        raise CheckpointError("is empty (0 bytes): copy or download it again")
    return status.st_size


def identify(path: Path) -> Kind:
    """Return the container of the file at `path`.

    Raises:
        CheckpointError: It is none that is read here; the message says what it is.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {reason(error)}") from None
    if head.startswith(b"PK\x03\x04"):
        return Kind.ZIP
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return Kind.PICKLE
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_SAFETENSORS_HEADER:
        return Kind.SAFETENSORS
    raise CheckpointError(f"is {_describe(head)}")


def reason(error: BaseException) -> str:
    """Return the first line of what `error` says, for a message of one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return next(iter(text.strip().splitlines()), "") or type(error).__name__


def brief(value: object) -> str:
    """Give a key's text for a message; of what is neither text nor a number, its type.

    The text of an object that holds another twice, and so on, would be without end.
    """
    if isinstance(value, str):
        return value[:40]
    plain = isinstance(value, (int, float, bytes)) or value is None
    return f"{value!r:.60}" if plain else f"of type {type(value).__name__}"


def damaged(error: Exception) -> CheckpointError:
    """Make the error of a file that breaks off or whose archive is broken: those alone.

    Args:
        error: What a reader raised.
    """
    return CheckpointError(f"is damaged or cut off ({reason(error)}): copy or download it again")


def _describe(head: bytes) -> str:
    for magic, what in _STRANGERS:
        if head.startswith(magic):
            return what
    if head[257:262] == b"ustar":
        return TAR
    if len(head) > 2 and head[0] == 8 and head[1] < 32 and head[2] in _ONNX_FIELDS:
        return f"an ONNX model already: {ADVICE}"
    if head.lstrip()[:1] == b"<":
        return "an HTML or XML page, so a download that went wrong: fetch the file itself"
    if _is_text(head):
        return "a text file, not a checkpoint: give a .pth, .pt or .safetensors file"
    return "no checkpoint that torch.save or safetensors wrote (unknown content): check the file"


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")
    return len(text) > len(head) // 2 and all(c.isprintable() or c.isspace() for c in text)

"""Write beside, then rename: a file appears under its name whole and accepted, or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from simam_deploy.errors import InputError


@contextlib.contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`, on the same file system; it is gone afterwards.

    Args:
        target: The file that is to appear; its parent is made if it is missing.

    Raises:
        InputError: The parent cannot be made or written to, or the disk is full.
    """
    made = _missing_parents(target.parent)
    with explained(target):
        if target.is_dir():
            raise InputError(f"cannot write {target}: it is a directory")
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
    shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, target: Path) -> list[Path]:
    """Move every file of the staging folder beside `target`; the last one moved is `target`.

    The order matters to a reader that opens `target` at any moment: what it refers to is there.
    """
    staged = sorted(folder.iterdir(), key=lambda p: p.name == target.name)
    for path in staged:
        with path.open("rb") as written:
            os.fsync(written.fileno())
    return [path.replace(target.parent / path.name) for path in staged]


def publish_folder(folder: Path, target: Path) -> Path:
    """Move a staged folder to `target`, which must not be there, in one step."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as written:
                os.fsync(written.fileno())
    return folder.rename(target)


def _missing_parents(folder: Path) -> list[Path]:
    """List the folders that will have to be made, innermost first."""
    missing = []
    while not folder.exists() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    return missing


@contextlib.contextmanager
def explained(target: Path) -> Iterator[None]:
    """Turn the system's errors (permissions, a full disk) into one line that names the file.

    Raises:
        InputError: For every OSError in the block.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which leaves no file behind.

    Two builds of one name would otherwise leave the plan of one with the manifest of the other.

    Raises:
        OSError: The folder cannot be opened.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made if it is missing.

    Raises:
        OSError: It cannot be made.
    """
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield

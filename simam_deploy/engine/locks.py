"""One process at a time, among those that ask."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


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

"""What of the cache may be believed, and for how long it is kept.

A plan can run code, and a graph that a server keeps answers for the file that it was made of: what
stands in the cache is as good as the user's own programs, or it is not taken. The folders above an
entry, the entry and its files must be the user's and nobody else's to write, none of them a link,
and the plan must be what its manifest says of it. Root may read a user's cache; another user's is
none of his.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST = 20 * 10**9
"""Bytes of all plans: some 200 of ResNet-50."""
OLDEST = 90 * 24 * 3600
"""Seconds since a plan was last taken."""


class UntrustedError(OSError):
    """What lies in the cache may be somebody else's; the message says what to do."""


@dataclass(frozen=True)
class Entry:
    """A plan that is kept: its folder, its bytes, and when it was last taken, in Unix time."""

    folder: Path
    size: int
    taken: float


def kept_folder(name: str) -> Path:
    """Give the folder of what is kept of one kind: below $XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "simam-deploy" / name


def make_own(folder: Path) -> None:
    """Make a folder that the user alone can write to, and the one above it; or check those there.

    Raises:
        UntrustedError: One of them is somebody else's, or others can write to it.
        OSError: It cannot be made.
    """
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for part in (folder.parent, folder):
        part.mkdir(mode=0o700, exist_ok=True)
        check_own(part)


def check_own(path: Path) -> None:
    """Look at who owns a file or folder and who may write to it.

    Raises:
        UntrustedError: It is a link, or not the user's alone.
    """
    seen = path.lstat()
    if stat.S_ISLNK(seen.st_mode):
        raise UntrustedError(1, f"{path} is a link: remove it")
    if seen.st_uid != os.geteuid():
        raise UntrustedError(1, f"{path} belongs to user {seen.st_uid}, not to you: remove it")
    if seen.st_mode & 0o022:
        raise UntrustedError(
            1, f"others can write to {path}: remove it, or chmod go-w it if they have not"
        )


def check_entry(entry: Path) -> None:
    """Check an entry and its files, if it is there.

    Raises:
        UntrustedError: As `check_own`.
    """
    with contextlib.suppress(FileNotFoundError):
        check_own(entry)
        for file in sorted(entry.iterdir()):
            check_own(file)


def put_entry(part: Path, entry: Path, largest: int = LARGEST) -> None:
    """Put a folder that was filled beside into the place of an entry, and make room for it.

    Args:
        part: The folder, on the same file system; its files become the user's alone.
        entry: The place; what was there goes.
        largest: Bytes of all entries that may stay.

    Raises:
        OSError: It cannot be put there, or another process does the same.
    """
    for file in part.iterdir():
        file.chmod(0o600)
    shutil.rmtree(entry, ignore_errors=True)
    part.replace(entry)
    evict(entry.parent, entry, largest)


def entries(folder: Path) -> Iterator[Entry]:
    """List what is kept, that which was taken longest ago first."""
    found = []
    for entry in folder.glob("[0-9a-f]*/"):
        with contextlib.suppress(OSError):  # gone meanwhile
            size = sum(file.lstat().st_size for file in entry.iterdir())
            found.append(Entry(entry, size, entry.stat().st_mtime))
    yield from sorted(found, key=lambda each: each.taken)


def evict(folder: Path, keep: Path, largest: int = LARGEST, oldest: float = OLDEST) -> int:
    """Remove what was not taken for long, and then what was taken longest ago until all fits.

    Args:
        folder: The cache.
        keep: An entry that stays.
        largest: Bytes that may stay.
        oldest: Seconds that an entry stays untaken.

    Returns:
        How many were removed.
    """
    kept = list(entries(folder))
    total = sum(each.size for each in kept)
    removed = 0
    for each in kept:
        fresh = time.time() - each.taken <= oldest
        if each.folder == keep or (fresh and total <= largest):
            continue
        with contextlib.suppress(OSError):
            shutil.rmtree(each.folder)
            total -= each.size
            removed += 1
    return removed

"""Write beside, then rename: a file appears under its name whole and accepted, or not at all.

All that this package leaves under a name goes through here: a staging folder beside the target,
which its process holds locked for as long as it lives, and one move under the folder's lock, so
that of two runs at once the files of one lie there, and not some of each.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from simam_deploy.core.place import check_place, companions
from simam_deploy.errors import InputError

STAGING = ".simam-staging-"
"""What the names of staging folders begin with."""
_NO_LOCKS = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOTSUP}
"""What file systems say that cannot lock a folder, such as NFS."""


@contextlib.contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`, on the same file system; it is gone afterwards.

    Args:
        target: The file that is to appear; its parent is made if it is missing, and goes again
            if nothing appeared.

    Raises:
        InputError: The parent cannot be made or written to, the disk is full, or what lies under
            the target's name must not be overwritten.
    """
    check_target(target)
    made = _missing_parents(target.parent)
    with contextlib.ExitStack() as held:
        held.callback(_remove_empty, made)
        with explained(target):
            folder = held.enter_context(held_folder(target.parent))
        yield folder


def check_target(target: Path) -> None:
    """Refuse what would overwrite what is not ours; between two moves of another run's files.

    Raises:
        InputError: As `core.place.check_place`, or the folder cannot be opened.
    """
    with explained(target), contextlib.ExitStack() as held:
        if target.parent.is_dir():
            held.enter_context(alone_in(target.parent))
        check_place(target)


@contextlib.contextmanager
def held_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder within a locked one, and sweep those whose processes are no more.

    Within, since what is staged may be staged for itself there: an export on the way to an engine
    locks the folder that it publishes into, and would wait for its own process for ever.

    Raises:
        OSError: The parent cannot be made or written to.
    """
    outer, handle = _make_held(parent)
    try:
        folder = outer / "files"
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(outer, ignore_errors=True)
        os.close(handle)


def publish(folder: Path, target: Path) -> list[Path]:
    """Move every file of the staging folder beside `target`; the last one moved is `target`.

    The order matters to a reader that opens `target` at any moment: what it refers to is there.
    What an earlier run left under the target's name, and this one did not make, is taken away.

    Raises:
        InputError: Meanwhile somebody else's file came to lie there.
    """
    staged = sorted(folder.iterdir(), key=lambda p: p.name == target.name)
    _write_through(staged)
    with alone_in(target.parent):
        check_place(target)
        moved = [path.replace(target.parent / path.name) for path in staged]
        for stale in set(companions(target)).difference(moved):
            stale.unlink(missing_ok=True)
    return moved


def publish_folder(folder: Path, target: Path) -> Path:
    """Move a staged folder to `target`, which must not be there, in one step.

    Raises:
        InputError: It is there.
    """
    _write_through([path for path in sorted(folder.rglob("*")) if path.is_file()])
    with alone_in(target.parent):
        if os.path.lexists(target):
            raise InputError(f"{target} is there already: take it away, or choose another name")
        return folder.rename(target)


def _write_through(files: Sequence[Path]) -> None:
    for path in files:
        with path.open("rb") as written:
            os.fsync(written.fileno())


def _missing_parents(folder: Path) -> list[Path]:
    """List the folders that will have to be made, innermost first."""
    missing = []
    while not folder.exists() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    return missing


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders that were made for what then did not appear."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _make_held(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it, both while the parent is locked: nobody sees it unlocked."""
    while True:
        parent.mkdir(parents=True, exist_ok=True)
        try:
            with alone_in(parent):
                _sweep(parent)
                folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=parent))
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                _lock(handle)
                return folder, handle
        except FileNotFoundError:
            if parent.exists():
                raise
            # Another run, which had made the parent and failed, took it away: make it anew.


def _sweep(parent: Path) -> None:
    """Remove the staging folders of this user that nobody holds any more: he was killed."""
    for folder in parent.glob(f"{STAGING}*"):
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # gone meanwhile, or not ours to open
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # held; or locks are unknown here, and then nothing tells the dead
            continue
        finally:
            os.close(handle)


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

    Two runs that write one name would otherwise leave the file of one with the manifest of the
    other.

    Raises:
        OSError: The folder cannot be opened.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle)
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


def _lock(handle: int) -> None:
    """Take a lock; where the file system knows none, it is up to the user to run one at a time."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise

"""Keeps what was built, by everything that a plan depends on.

An entry is a folder named by its key. It is filled beside and renamed, so that it is whole or not
there, and one process builds while others wait for the key's lock. Entries can run code: the
folder is the user's alone, by check (`cache_guard`), and what is taken from it is held against its
hash, and against the audit that its manifest states.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simam_deploy.core.artifacts import Manifest
from simam_deploy.core.manifest import check_file, manifest_path, write_manifest
from simam_deploy.core.place import log_of
from simam_deploy.core.staging import held_folder, locked
from simam_deploy.engine.plan.audit import is_as_audited
from simam_deploy.engine.plan.cache_guard import (
    UntrustedError,
    check_entry,
    kept_folder,
    make_own,
    put_entry,
)
from simam_deploy.engine.plan.manifest import artifact_of, read_manifest
from simam_deploy.engine.plan.plan_facts import read_listing
from simam_deploy.errors import InputError

PLAN = "plan.engine"
"""An entry's file."""
_PACKAGE = Path(__file__).parents[2]


def cache_folder() -> Path:
    """Give the cache's folder."""
    return kept_folder("engines")


def cache_key(facts: Mapping[str, Any]) -> str:
    """Hash what a plan depends on, this package's own code included."""
    code = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        code.update(path.read_bytes())
    document = json.dumps({**facts, "code": code.hexdigest()}, sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


@contextlib.contextmanager
def entry_lock(folder: Path, key: str) -> Iterator[None]:
    """Hold a key's lock; whoever wants the same plan waits, and then finds it.

    Raises:
        UntrustedError: The cache is not the user's alone.
        OSError: It cannot be written to.
    """
    make_own(folder)
    with locked(folder / f"{key}.lock"):
        yield


def check_kept(folder: Path, key: str) -> None:
    """Check an entry before anything in it is believed, if it is there.

    Raises:
        UntrustedError: It is not the user's alone, or holds another plan than its manifest says.
    """
    kept = folder / key / PLAN
    check_entry(kept.parent)
    try:
        document = read_manifest(kept)
        stated = artifact_of(kept, document, cached=True, seconds=0).audit
        found = read_listing(kept.read_bytes())
    except (InputError, OSError):
        return  # not whole: it is built anew
    if found and stated.source.startswith(found.source) and not is_as_audited(found, stated):
        raise UntrustedError(1, f"the plan in {kept.parent} is not the one that was audited")


def fetch(folder: Path, key: str, plan: Path) -> Manifest | None:
    """Copy an entry to `plan`, with its manifest and log.

    Returns:
        The manifest; None where there is no entry, or one that is not whole.

    Raises:
        OSError: `plan` cannot be written.
    """
    kept = folder / key / PLAN
    try:
        document = read_manifest(kept)
        check_file(kept, document["files"][0])
        artifact_of(kept, document, cached=True, seconds=0)
    except (InputError, OSError):
        return None
    if not log_of(kept).is_file():
        return None
    try:
        shutil.copyfile(kept, plan)
        shutil.copyfile(log_of(kept), log_of(plan))
        os.utime(kept.parent)  # by which it is seen when it was last taken
    except FileNotFoundError:  # another build made room meanwhile
        return None
    return write_manifest(plan, [plan], document)


def store(folder: Path, key: str, plan: Path) -> None:
    """Keep a plan with its manifest and log, in the place of what was there; make room for it.

    Raises:
        OSError: The cache cannot be written to.
    """
    with held_folder(folder) as stage:
        part = stage / key
        part.mkdir(mode=0o700)
        shutil.copyfile(plan, part / PLAN)
        for of in (manifest_path, log_of):
            shutil.copyfile(of(plan), of(part / PLAN))
        put_entry(part, folder / key)

"""A build's way through the cache: what a plan depends on, and the plan that was kept of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from simam_deploy.core.files import sha256_of
from simam_deploy.core.manifest import tool_versions, write_manifest
from simam_deploy.core.options import words
from simam_deploy.core.staging import explained
from simam_deploy.engine.flavours.choose import load_library
from simam_deploy.engine.plan.cache import (
    cache_folder,
    cache_key,
    check_kept,
    entry_lock,
    fetch,
    store,
)
from simam_deploy.engine.plan.cache_guard import UntrustedError
from simam_deploy.engine.plan.manifest import read_manifest
from simam_deploy.graph.file.read import external_files, read_model
from simam_deploy.pipeline.job import Job, rebuild_command
from simam_deploy.runtime.gpu import find_gpus


def through_cache(job: Job, plan: Path, make: Callable[[], None]) -> tuple[bool, tuple[str, ...]]:
    """Put the plan of a job at `plan`: the one that was kept, or a new one.

    Returns:
        Whether it was kept, and a line on what is wrong with the cache.
    """
    key, folder = _key(job), cache_folder()
    if key is None:
        make()
        return False, ()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(entry_lock(folder, key))
        except OSError as error:
            make()
            return False, (f"built without the cache {folder}: {error.strerror}",)
        said: tuple[str, ...] = ()
        try:
            if _from_cache(job, folder, key, plan):
                return True, ()
        except UntrustedError as error:
            said = (f"built anew, for what the cache held was not taken: {error.strerror}",)
        make()
        try:
            store(folder, key, plan)
        except OSError as error:
            return False, (*said, f"not kept in the cache {folder}: {error.strerror}")
    return False, said


def _from_cache(job: Job, folder: Path, key: str, plan: Path) -> bool:
    """Put the plan that was kept at `plan`, if there is one.

    Raises:
        UntrustedError: There is one that may be somebody else's.
    """
    check_kept(folder, key)
    with explained(job.target):
        if not fetch(folder, key, plan):
            return False
        # What was kept may have been built under another name.
        document = read_manifest(plan)
        write_manifest(plan, (plan,), {**document, "command": rebuild_command(job)})
        return True


def _key(job: Job) -> str | None:
    """Hash what the plan depends on; None where code of the user's or samples take part."""
    if not job.engine.cache or job.network.model or job.network.trust_pickle:
        return None
    if job.engine.calibration_data is not None:
        return None
    gpus = find_gpus()
    ahead = job.flavour.target_names(job.engine.targets) != ("current",)
    return cache_key(
        {
            "source": [sha256_of(part) for part in _source_files(job.source)],
            "place": str(job.source.resolve()),  # a folder's name may state lambda
            "asked": [*words(job.engine), *words(job.network)],
            "classes": job.classes,
            "flavour": [job.flavour.name, load_library(job.flavour).__version__],
            "gpu": None if ahead else [gpus.cuda, *(asdict(d) for d in gpus.devices[:1])],
            "plugin": job.plugin and sha256_of(job.plugin),
            "tools": tool_versions(),
        }
    )


def _source_files(source: Path) -> tuple[Path, ...]:
    """List the source and, of an .onnx, its external data, whatever they are called."""
    if source.suffix.lower() != ".onnx":
        return (source,)
    return (source, *external_files(read_model(source)))

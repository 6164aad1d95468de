"""One network in each form that an engine can have of SimAM, and the one that is kept.

Which form is best no rule tells: it depends on the library, the network, and with free sides on the
profile (`OF_FREE_SIDES`). So all are built and measured.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from simam_deploy.core.artifacts import EngineArtifact
from simam_deploy.core.manifest import write_manifest
from simam_deploy.engine.plan.manifest import read_manifest
from simam_deploy.engine.run.choose import best, measure, verdict
from simam_deploy.errors import EngineError, UsageError
from simam_deploy.runtime.gpu import find_gpus

PLUGIN = "plugin"
WITHOUT_PLUGIN = ("wide", "portable")
"""Keys of `LOWERINGS`; the first is taken where neither times nor launches tell."""
OF_FREE_SIDES = ("wide", "flat", "portable")
"""Those of a network whose planes' sizes are not known: the profile decides between the first two.

Of 64 to 224 pixels a side a ResNet-18 has 36 launches as `wide` and 35 as `flat`, a mobilenet_v2 79
and 85 (`scripts/bench/launches.py`).
"""
_MEMORY = 3 * 2**30
"""Bytes that a build may need: of a ResNet-50 it took 1.2e9."""

Build = Callable[[str, Path], EngineArtifact]
"""Builds the plan of a form at a path."""


@dataclass(frozen=True)
class _Built:
    form: str
    plan: Path
    artifact: EngineArtifact


def build_best(forms: Sequence[str], stage: Path, plan: Path, build: Build) -> None:
    """Build every form in a folder of its own, and leave the best at `plan`.

    One that cannot be built is left out and said, if another can.

    Args:
        forms: Their names; the best of several alike is the first.
        stage: Where folders are made.
        plan: In an empty folder; the manifest and the log go with it.
        build: Builds one.

    Raises:
        SimamError: None can be built, or one was built and is wrong.
    """
    built, failed = [], []
    for form, target, future in _building(forms, stage, plan.name, build):
        try:
            built.append(_Built(form, target, future.result()))
        except (EngineError, UsageError) as error:  # a plugin of another version, an old opset
            failed.append((form, error))
    if not built:
        raise failed[0][1]
    said = [f"not as {form}, which cannot be built: {error}" for form, error in failed]
    _keep(built, plan, said)


def _building(
    forms: Sequence[str], stage: Path, name: str, build: Build
) -> Iterator[tuple[str, Path, Future[EngineArtifact]]]:
    """Start all builds, as many at a time as may run, and yield them in order."""
    targets = [stage / form / name for form in forms]
    for target in targets:
        target.parent.mkdir()
    with ThreadPoolExecutor(_at_a_time()) as pool:
        futures = [pool.submit(build, *each) for each in zip(forms, targets, strict=True)]
        yield from zip(forms, targets, futures, strict=True)


def _at_a_time() -> int:
    """Give how many builds run side by side: one beside a GPU, on which TensorRT times kernels."""
    if find_gpus().devices:
        return 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return max(1, min(os.cpu_count() or 1, memory // _MEMORY))


def _keep(built: Sequence[_Built], plan: Path, said: Sequence[str]) -> None:
    """Leave the best of what was built, with its manifest and log, and say in it why."""
    figures = measure([each.artifact for each in built])
    kept = best(figures)
    for file in built[kept].plan.parent.iterdir():
        file.replace(plan.parent / file.name)
    document = read_manifest(plan)
    why = [verdict(figures, kept)] if len(built) > 1 else []
    notes = [*document["notes"], *why, *said]
    told = [asdict(each) for each in figures]
    write_manifest(plan, [plan], {**document, "candidates": told, "notes": notes})

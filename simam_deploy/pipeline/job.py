"""A build with everything decided that can be before any work."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from simam_deploy.core.conversion import check_precision
from simam_deploy.core.files import PLANS
from simam_deploy.core.labels import read_labels
from simam_deploy.core.place import place_of
from simam_deploy.core.progress import Progress
from simam_deploy.engine.flavours.choose import Flavour, choose_flavour, load_library
from simam_deploy.engine.options import EngineOptions, build_command
from simam_deploy.engine.request import BuildRequest, check_targets
from simam_deploy.errors import EngineError, UsageError
from simam_deploy.op.find import find_kernels, find_plugin, is_kernels
from simam_deploy.runtime.gpu import find_gpus
from simam_deploy.source.onnx_file import refuse_fixed
from simam_deploy.source.options import NetworkOptions


@dataclass(frozen=True)
class Job:
    """A build with everything decided that can be before any work."""

    source: Path
    target: Path
    engine: EngineOptions
    network: NetworkOptions
    flavour: Flavour
    plugin: Path | None
    classes: tuple[str, ...]
    progress: Progress


def decide(
    source: Path,
    output: str | os.PathLike[str] | None,
    engine: EngineOptions,
    network: NetworkOptions,
    progress: Progress,
) -> Job:
    """Decide.

    Raises:
        InputError: The source is missing, or no TensorRT is installed.
        UsageError: The options contradict each other or the flavour.
    """
    target = place_of(source, output, PLANS)
    check_precision(engine)
    if source.suffix.lower() == ".onnx":
        refuse_fixed(source, network)
    try:
        source.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise EngineError(f"cannot use {source}: {reason[:1].lower()}{reason[1:]}") from error
    flavour = choose_flavour(engine.backend, bool(find_gpus().devices))
    flavour.check(
        BuildRequest(
            source,
            target,
            flavour.name,
            targets=engine.targets,
            timing_cache=None if engine.timing_cache is None else Path(engine.timing_cache),
        )
    )
    check_targets(engine.precision, engine.targets)
    load_library(flavour)
    classes = () if engine.labels is None else read_labels(Path(engine.labels))
    plugin = _plugin(engine, flavour)
    return Job(source, target, engine, network, flavour, plugin, classes, progress)


def _plugin(engine: EngineOptions, flavour: Flavour) -> Path | None:
    """Give the plugin library, or the kernels, to build with.

    Raises:
        EngineError: The one named is not there.
        UsageError: The flavour has no ahead-of-time plugins.
    """
    if engine.plugin == "auto":
        return find_plugin(flavour.name)
    if engine.plugin == "never":
        return None
    path = find_kernels() if engine.plugin == "aot" else Path(engine.plugin).resolve()
    if engine.plugin == "aot" or is_kernels(engine.plugin):
        _check_ahead_of_time(flavour)
    if path is None:
        raise EngineError(
            "there are no kernels to put into a plan: make them by scripts/build_plugin",
            options=("plugin",),
        )
    if not path.is_file():
        raise EngineError(
            f"there is no plugin {path}: it is auto, never, aot or a library", options=("plugin",)
        )
    return path


def _check_ahead_of_time(flavour: Flavour) -> None:
    """Refuse a flavour without ahead-of-time plugins.

    Raises:
        UsageError: For all but TensorRT.
    """
    if flavour.backend != "tensorrt":
        raise UsageError(
            f"{flavour.title} has no ahead-of-time plugins: take TensorRT, or the plugin auto",
            options=("backend", "plugin"),
        )


def rebuild_command(job: Job) -> str:
    """Word the command that builds this plan again."""
    engine = replace(job.engine, backend=job.flavour.backend)
    return build_command(job.source.name, job.target.name, engine, job.network)

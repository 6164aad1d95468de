"""A build with everything decided that can be before any work."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simam_deploy.core.files import PLANS
from simam_deploy.core.place import place_of
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import PRECISIONS
from simam_deploy.engine.flavours.choose import Flavour, choose_flavour, load_library
from simam_deploy.engine.options import EngineOptions
from simam_deploy.engine.profiles import shapes_text
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import EngineError, UsageError
from simam_deploy.op.find import find_kernels, find_plugin, is_kernels
from simam_deploy.runtime.gpu import find_gpus
from simam_deploy.source import Options


@dataclass(frozen=True)
class Job:
    """A build with everything decided that can be before any work."""

    source: Path
    target: Path
    engine: EngineOptions
    network: Options
    flavour: Flavour
    plugin: Path | None
    progress: Progress


def decide(
    source: Path,
    output: str | os.PathLike[str] | None,
    engine: EngineOptions,
    network: Options,
    progress: Progress,
) -> Job:
    """Decide.

    Raises:
        InputError: The source is missing, or no TensorRT is installed.
        UsageError: The options contradict each other or the flavour.
    """
    target = place_of(source, output, PLANS)
    if engine.precision not in (None, *PRECISIONS):
        raise UsageError(f"--precision must be {', '.join(PRECISIONS)}; got {engine.precision!r}")
    if not source.exists():
        raise EngineError(f"cannot use {source}: no such file")
    flavour = choose_flavour(engine.backend, bool(find_gpus().devices))
    flavour.check(
        BuildRequest(source, target, flavour.name, targets=engine.targets,
                     timing_cache=engine.timing_cache)
    )  # fmt: skip
    load_library(flavour)
    return Job(source, target, engine, network, flavour, _plugin(engine, flavour), progress)


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
            "there are no kernels for --plugin aot: make them by scripts/build_plugin"
        )
    if not path.is_file():
        raise EngineError(
            f"there is no plugin {path}; --plugin takes auto, never, aot or a library"
        )
    return path


def _check_ahead_of_time(flavour: Flavour) -> None:
    """Refuse a flavour without ahead-of-time plugins.

    Raises:
        UsageError: For all but TensorRT.
    """
    if flavour.backend != "tensorrt":
        raise UsageError(
            f"{flavour.title} has no ahead-of-time plugins: take --backend tensorrt, or "
            "--plugin auto"
        )


def rebuild_command(job: Job) -> str:
    """Word the command that builds this plan again."""
    engine, network = job.engine, job.network
    values: dict[str, Any] = {
        "-o": job.target.name,
        "--precision": engine.precision,
        "--calibration-data": engine.calibration_data,
        "--backend": job.flavour.backend,
        "--target": ",".join(engine.targets),
        "--workspace": engine.workspace,
        "--timing-cache": engine.timing_cache,
        "--plugin": None if engine.plugin == "auto" else engine.plugin,
        "--arch": network.arch,
        "--model": network.model,
        "--lambda": network.e_lambda,
        "--dynamic": network.dynamic,
        "--input-shape": network.input_shape and "x".join(map(str, network.input_shape)),
    }
    words = ["simam-build", job.source.name]
    for flag, value in values.items():
        words += [flag, str(value)] if value not in (None, "") else []
    for flag, shapes in (("min", engine.min_shapes), ("opt", engine.opt_shapes),
                         ("max", engine.max_shapes)):  # fmt: skip
        words += [word for given in shapes for word in (f"--{flag}-shapes", shapes_text(given))]
    switches = {"--tf32": engine.tf32, "--no-keep-io": not engine.keep_io,
                "--trust-pickle": network.trust_pickle}  # fmt: skip
    return shlex.join([*words, *(flag for flag, on in switches.items() if on)])

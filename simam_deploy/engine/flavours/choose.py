"""The two libraries that make plans, behind one interface."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Mapping
from typing import Any, Protocol

from simam_deploy.engine.flavours.tensorrt import TensorRT
from simam_deploy.engine.flavours.tensorrt_rtx import TensorRTRTX
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import EngineError, UsageError


class Flavour(Protocol):
    """What differs between the libraries; all else is the same Python interface in both.

    Attributes:
        name: Of the Python package.
        title: For people.
        backend: What it is asked for by.
        since: First version that is taken, (major, minor).
        below: First that is not.
        install: How to get it.
        builds_ahead: Whether it builds without a GPU.
        compiles_when_run: Whether kernels are finished on the GPU that runs a plan.
        detection: The form that it takes a detector's operators in (`graph.detect`).
    """

    name: str
    title: str
    backend: str
    since: tuple[int, int]
    below: tuple[int, int]
    install: str
    builds_ahead: bool
    compiles_when_run: bool
    detection: str

    def check(self, request: BuildRequest) -> None:
        """Refuse, before any work, what this flavour cannot do.

        Raises:
            UsageError: For an option that it has no use for.
        """
        ...

    def configure(self, trt: Any, config: Any, request: BuildRequest) -> None:
        """Set the targets, and what else only this flavour has, on an IBuilderConfig."""
        ...

    def finish(self, config: Any, request: BuildRequest) -> None:
        """Keep what is left behind by a build that went well."""
        ...

    def environment(self, folder: str) -> dict[str, str]:
        """Give the variables that the building process needs; `folder` is its to fill."""
        ...

    def target_names(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """Say, as a manifest does, what a plan for these targets runs on."""
        ...


FLAVOURS: Mapping[str, Flavour] = {f.name: f for f in (TensorRT(), TensorRTRTX())}


def choose_flavour(backend: str, gpu: bool) -> Flavour:
    """Give the flavour that `backend` stands for.

    Args:
        backend: "auto", "tensorrt" or "rtx".
        gpu: Whether there is a GPU: TensorRT builds on the GPU that it builds for.

    Raises:
        UsageError: There is none of that name.
        EngineError: It is not installed.
    """
    by_backend = {f.backend: f for f in FLAVOURS.values()}
    if backend != "auto":
        if backend not in by_backend:
            raise UsageError(
                f"the backend must be auto, {' or '.join(by_backend)}, got {backend!r}",
                options=("backend",),
            )
        return by_backend[backend]
    full, rtx = by_backend["tensorrt"], by_backend["rtx"]
    if gpu and installed(full):
        return full
    if installed(rtx):
        return rtx
    raise EngineError(
        f"no TensorRT is installed: {rtx.install} (builds without a GPU), or {full.install}"
    )


def installed(flavour: Flavour) -> bool:
    """Tell whether the package is there; its libraries may still be missing."""
    return importlib.util.find_spec(flavour.name) is not None


def load_library(flavour: Flavour) -> Any:
    """Import a flavour's package.

    Raises:
        EngineError: It is missing, broken, or of a version that is not supported.
    """
    try:
        trt = importlib.import_module(flavour.name)
        version = tuple(int(n) for n in re.findall(r"\d+", trt.__version__)[:2])
    except ImportError as error:
        if installed(flavour):
            raise EngineError(f"{flavour.title} does not load: {error}") from error
        raise EngineError(f"{flavour.title} is not installed: {flavour.install}") from error
    except (OSError, AttributeError, RuntimeError) as error:
        # NVIDIA's `tensorrt` on PyPI is a stub: its libraries come from an index of their own.
        raise EngineError(
            f"{flavour.title} is installed without its libraries ({error}): {flavour.install}"
        ) from error
    if not flavour.since <= version < flavour.below:
        wanted = f"{_dotted(flavour.since)} or newer, below {_dotted(flavour.below)}"
        raise EngineError(f"{flavour.title} {trt.__version__} is installed, {wanted} is supported")
    return trt


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))

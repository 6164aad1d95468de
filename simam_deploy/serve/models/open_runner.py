"""From a file to what runs it: one branch a kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from simam_deploy.core.files import PLANS
from simam_deploy.errors import InputError
from simam_deploy.runtime import Runner
from simam_deploy.serve.settings import Settings

RUNNABLE = (".onnx", *PLANS)
"""Suffixes of what `open_runners` takes."""


def open_runners(path: Path, settings: Settings, contents: Mapping[str, bytes]) -> Iterator[Runner]:
    """Open a model as often as there are instances; those of a plan share its weights.

    Args:
        path: Its file.
        settings: The server's.
        contents: Of an .onnx, as `onnx_contents` read it.

    Raises:
        InputError: The file cannot be used, or not by the provider or on the GPU that is here.
    """
    if path.suffix in PLANS:
        yield from _open_plan(path, settings)
    elif path.suffix == ".onnx":
        for _ in range(settings.instances):
            yield _open_onnx(path, settings, contents)
    else:
        raise InputError(f"cannot serve {path}: served are {', '.join(RUNNABLE)} and checkpoints")


def _open_plan(path: Path, settings: Settings) -> Iterator[Runner]:
    from simam_deploy.engine.run.runner import TensorRTRunner

    first = TensorRTRunner(path, trust=settings.trust_engine)
    yield first
    for _ in range(1, settings.instances):
        yield first.fork()


def _open_onnx(path: Path, settings: Settings, contents: Mapping[str, bytes]) -> Runner:
    from simam_deploy.runtime.onnx_runner import OnnxRunner, providers_of

    providers = providers_of(settings.provider)
    return OnnxRunner(path, providers, threads=settings.threads, contents=contents)

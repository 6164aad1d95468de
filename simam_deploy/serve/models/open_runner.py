"""From a file to what runs it: one branch a kind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from simam_deploy.core.files import PLANS
from simam_deploy.errors import InputError
from simam_deploy.runtime import Runner
from simam_deploy.serve.settings import Settings

RUNNABLE = (".onnx", *PLANS)
"""Suffixes of what `open_runners` takes."""


@dataclass(frozen=True)
class Read:
    """An .onnx file as it was read, and as ONNX Runtime is to take it.

    Attributes:
        contents: As `onnx_contents` gives them; empty for a plan, which reads itself.
        as_they_are: Whether they are a graph that is optimised already.
        optimised: What ONNX Runtime made of them earlier, which it is to take instead.
        write: Where it is to write what it makes of the file; None for nowhere.
    """

    contents: Mapping[str, bytes]
    as_they_are: bool = False
    optimised: Path | None = None
    write: Path | None = None


def open_runners(path: Path, settings: Settings, read: Read) -> Iterator[Runner]:
    """Open a model as often as there are instances; those of a plan share its weights.

    Args:
        path: Its file.
        settings: The server's.
        read: Its contents, of an .onnx.

    Raises:
        InputError: The file cannot be used, or not by the provider or on the GPU that is here.
    """
    if path.suffix in PLANS:
        yield from _open_plan(path, settings)
    elif path.suffix == ".onnx":
        yield _open_first(path, settings, read)
        for _ in range(1, settings.instances):
            yield _open_onnx(path, settings, replace(read, write=None))
    else:
        raise InputError(f"cannot serve {path}: served are {', '.join(RUNNABLE)} and checkpoints")


def _open_plan(path: Path, settings: Settings) -> Iterator[Runner]:
    from simam_deploy.engine.run.runner import TensorRTRunner

    first = TensorRTRunner(path, trust=settings.trust_engine)
    yield first
    for _ in range(1, settings.instances):
        yield first.fork()


def _open_first(path: Path, settings: Settings, read: Read) -> Runner:
    """Open a file; where what is made of it cannot be written, as on a full disk, without that."""
    if read.write is not None:
        with contextlib.suppress(InputError):
            return _open_onnx(path, settings, read)
    return _open_onnx(path, settings, replace(read, write=None))


def _open_onnx(path: Path, settings: Settings, read: Read) -> Runner:
    from simam_deploy.runtime.onnx_runner import OnnxRunner, providers_of

    providers = providers_of(settings.provider)
    if read.optimised is not None:
        return OnnxRunner(read.optimised, providers, threads=settings.threads, optimised=True)
    return OnnxRunner(
        path,
        providers,
        threads=settings.threads,
        contents=read.contents,
        optimised=read.as_they_are,
        write_optimised=read.write,
    )

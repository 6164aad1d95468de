"""From the command line's [NAME=]PATH to the file of every name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from simam_deploy.core.files import CHECKPOINTS, stem_of
from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError, UsageError
from simam_deploy.serve.models.open_runner import RUNNABLE

_SERVED = (*RUNNABLE, *CHECKPOINTS)
_NAME = re.compile(r"[\w][\w.-]*")


def find_sources(arguments: Sequence[str]) -> dict[str, Path]:
    """Find the file of every model; a folder stands for what can be served in it.

    Raises:
        InputError: A path is missing, or a folder has nothing to serve.
        UsageError: Two models would have one name, or a name cannot stand in a URL.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        for name, path in _expand(argument):
            if not _NAME.fullmatch(name):
                raise UsageError(f"{name!r} cannot be a model's name: give one by NAME={path}")
            if name in found:
                raise UsageError(f"{found[name]} and {path} would both be '{name}': use NAME=PATH")
            found[name] = path
    return found


def _expand(argument: str) -> list[tuple[str, Path]]:
    name, equals, rest = argument.partition("=")
    if not equals or "/" in name or Path(argument).exists():
        name, rest = "", argument
    path = Path(rest)
    if not path.exists():
        raise InputError(f"cannot serve {path}: no such file")
    if not path.is_dir():
        return [(name or stem_of(path, _SERVED), path)]
    if name:
        raise UsageError(f"{path} is a folder: its models are named by their files, not {name!r}")
    files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in _SERVED]
    if not files:
        raise InputError(f"there is nothing to serve in {path}")
    return [(stem_of(file, _SERVED), file) for file in files]


def export_checkpoints(
    sources: Mapping[str, Path], folder: Path, progress: Progress
) -> dict[str, Path]:
    """Export what is no runnable file yet.

    Args:
        sources: The file of every name.
        folder: Where the exported files go.
        progress: Told each step.

    Returns:
        A runnable file of every name.

    Raises:
        InputError, UsageError, ValidationError: As `export_onnx`.
    """
    return {name: _runnable(name, path, folder, progress) for name, path in sources.items()}


def _runnable(name: str, path: Path, folder: Path, progress: Progress) -> Path:
    if path.suffix in RUNNABLE:
        return path
    from simam_deploy.pipeline.export import export_onnx

    return export_onnx(
        path, folder / f"{name}.onnx", progress=lambda step: progress(f"{name}: {step}")
    ).path

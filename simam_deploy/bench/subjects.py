"""From files to what is measured of them, each in every way that was asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from simam_deploy.bench.asked import COMPILE, EAGER, ENGINE, Asked, runtime_of
from simam_deploy.bench.options import BenchOptions
from simam_deploy.errors import InputError, UsageError
from simam_deploy.runtime.onnx_runner import PROVIDERS
from simam_deploy.source.options import NetworkOptions

Named = str | os.PathLike[str]


def subjects_of(
    files: Sequence[Named], network: NetworkOptions, options: BenchOptions
) -> tuple[Asked, ...]:
    """List what is to be measured, in the order of the files; all names differ.

    Raises:
        UsageError: There is nothing, or one thing twice.
    """
    paths = [Path(file) for file in files]
    if not paths:
        raise UsageError("nothing to measure: name models")
    found = [
        Asked(path, how, _shown(path, paths), network, options.threads, options.trust_engine)
        for path in paths
        for how in _ways(path, options)
    ]
    several = {each.name for each in found if sum(o.name == each.name for o in found) > 1}
    named = [replace(e, name=f"{e.name} ({e.how})") if e.name in several else e for e in found]
    twice = [e.name for e in named if sum(o.name == e.name for o in named) > 1]
    if twice:
        raise UsageError(f"{twice[0]} is there twice: name it once, or a copy of it")
    return tuple(named)


def _ways(path: Path, options: BenchOptions) -> Iterator[str]:
    runtime = runtime_of(path)
    if runtime == "onnxruntime":
        yield from options.providers or providers_here()
    elif runtime == "tensorrt":
        yield ENGINE
    else:
        yield from (EAGER, COMPILE) if options.compiled else (EAGER,)


def providers_here() -> tuple[str, ...]:
    """Name the execution providers that are there; the CPU's where ONNX Runtime is missing.

    Whoever opens a file then says what is missing.
    """
    try:
        import onnxruntime
    except ImportError:
        return ("cpu",)
    there = onnxruntime.get_available_providers()
    return tuple(name for name, needed in PROVIDERS.items() if needed[0] in there)


def _shown(path: Path, paths: Sequence[Path]) -> str:
    """Call a file by its name, or where others have that too, by its path as it was given."""
    alike = {str(other) for other in paths if other.name == path.name}
    return path.name if len(alike) == 1 else str(path)


def precision_of_file(asked: Asked) -> str:
    """Tell a model's precision without running it; "" where its file does not tell.

    What PyTorch runs is float32: sources are brought to it.
    """
    if asked.in_torch:
        return "fp32"
    try:
        if asked.how == ENGINE:
            from simam_deploy.core.manifest import find_manifest

            return str((find_manifest(asked.path) or {}).get("precision", ""))
        from simam_deploy.graph.file.read import read_model
        from simam_deploy.graph.types import precision_of

        return precision_of(read_model(asked.path))
    except InputError:
        return ""

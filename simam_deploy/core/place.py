"""Where an artifact goes, what lies beside it under its name, and what of that may be replaced.

    model.onnx      model.json, model.onnx.data where the weights are large, model.failed.json
                    after an export that failed its validation
    model.engine    model.engine.json, model.engine.log

The user names the artifact alone; so what else goes under its name is replaced only if an earlier
run of ours left it there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simam_deploy.core.files import PLANS, SOURCES, data_of, stem_of
from simam_deploy.core.manifest import kind_of, manifest_path, read_json
from simam_deploy.errors import InputError, UsageError

FAILED = ".failed.json"
YAML = (".yaml", ".yml")
YAML_HEAD = "# KServe runs the model repository at storageUri"
"""What the YAML files begin with that are written here."""


def place_of(source: Path, output: str | os.PathLike[str] | None, suffixes: Sequence[str]) -> Path:
    """Say where what is made of a source goes.

    Args:
        source: The file it is made of.
        output: The file to write; or a folder, which is there or whose name ends in a slash, and
            then the file is named as the source is. None for the source's own folder.
        suffixes: What the file may be named; the first is the usual one.

    Raises:
        UsageError: The output is named otherwise, or is the source.
        InputError: The user did not name the file, and somebody else's has that name.
    """
    given = str(source.parent) if output is None else os.fspath(output)
    is_folder = output is None or given.endswith(os.sep) or _is_dir(Path(given))
    target = Path(given)
    if is_folder:
        target = target / f"{stem_of(source, (*SOURCES, *PLANS))}{suffixes[0]}"
    if target.suffix not in suffixes:
        known = " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))
        raise UsageError(
            f"the output must be named {known}, or be a folder (a new one ends in {os.sep}), "
            f"got {target}",
            options=("output",),
        )
    if target.resolve() == source.resolve():
        raise UsageError(
            f"{source.name} would be overwritten: name another file", options=("output",)
        )
    if is_folder and os.path.lexists(target) and not (_is_dir(target) or _is_ours(target)):
        raise _taken(target)
    return target


def failed_path(target: Path) -> Path:
    """Say where the report of an export lies that failed its validation."""
    return target.with_suffix(FAILED)


def log_of(plan: Path) -> Path:
    """Say where the library's words on a plan lie."""
    return plan.with_name(f"{plan.name}.log")


def companions(target: Path) -> tuple[Path, ...]:
    """List what else may lie under an artifact's name, and goes when it is replaced."""
    if target.suffix == ".onnx":
        return manifest_path(target), data_of(target), failed_path(target)
    if target.suffix in PLANS:
        return manifest_path(target), log_of(target)
    return ()


def check_place(target: Path) -> None:
    """Refuse what would overwrite, beside or at `target`, what no run of ours left there.

    Raises:
        InputError: Names the file; or `target` is a directory.
    """
    if _is_dir(target):
        raise InputError(f"cannot write {target}: it is a directory")
    for path in companions(target):
        if os.path.lexists(path) and not _left_by(target, path):
            raise _taken(path)
    unnamed = target.name.endswith((FAILED, *YAML))
    if unnamed and os.path.lexists(target) and not _is_ours(target):
        raise _taken(target)


def _taken(path: Path) -> InputError:
    return InputError(
        f"{path} would be overwritten, and no earlier run left it there: move it away, or choose "
        "another name"
    )


def _left_by(target: Path, path: Path) -> bool:
    """Tell whether a companion was left by the run that left the artifact's manifest."""
    if path == failed_path(target):
        return _is_ours(path)
    if path == data_of(target):
        return path.name in _listed(target)
    return _is_ours(target)


def _is_ours(path: Path) -> bool:
    """Tell an artifact by its manifest, and a report or a YAML by itself."""
    if path.name.endswith(FAILED):
        report = _json(path)
        return isinstance(report, dict) and {"passed", "rule", "results"} <= report.keys()
    if path.suffix in YAML:
        return _begins_with(path, YAML_HEAD)
    document = _json(manifest_path(path))
    return (
        isinstance(document, dict)
        and isinstance(document.get("schema"), int)
        and document.get("kind") == kind_of(path)
        and isinstance(document.get("files"), list)
    )


def _listed(target: Path) -> set[str]:
    """Name the files that the manifest of an earlier run lists."""
    document = _json(manifest_path(target)) if _is_ours(target) else {"files": []}
    files = [entry for entry in document["files"] if isinstance(entry, dict)]
    return {str(entry.get("name")) for entry in files}


def _json(path: Path) -> Any:
    """Read what may be one of ours; what cannot be read is not."""
    try:
        return read_json(path)
    except InputError:
        return None


def _begins_with(path: Path, head: str) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(head)) == head.encode()
    except OSError:
        return False


def _is_dir(path: Path) -> bool:
    """Tell a folder; what cannot be looked at is none, and writing it will say why."""
    try:
        return path.is_dir()
    except OSError:
        return False

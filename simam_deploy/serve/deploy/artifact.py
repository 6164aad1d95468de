"""Read an artifact that is to be handed on: its manifest, and the files that this lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simam_deploy.core.files import sha256_of
from simam_deploy.core.manifest import SCHEMA, manifest_path
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError

_LARGEST = 1 << 24
"""Bytes of a manifest that will be read; ours have some 20 kB."""


@dataclass(frozen=True)
class Artifact:
    """An .onnx ("onnx") or a TensorRT plan ("engine") whose files are those of its manifest."""

    path: Path
    kind: str
    files: tuple[Path, ...]
    facts: Mapping[str, Any]


def read_artifact(path: Path) -> Artifact:
    """Read an artifact's manifest and hold its files against their hashes.

    Args:
        path: `model.onnx` with `model.json`, or a plan `model.engine` with `model.engine.json`.

    Raises:
        InputError: The file or its manifest is missing or damaged, or they do not belong together.
    """
    is_onnx = path.suffix == ".onnx"
    sidecar = manifest_path(path) if is_onnx else path.with_name(f"{path.name}.json")
    if not path.is_file():
        raise InputError(f"cannot use {path}: no such file")
    facts = _document(sidecar, path)
    kind = facts.get("kind")
    if facts.get("schema") != SCHEMA or kind != ("onnx" if is_onnx else "engine"):
        raise InputError(f"{sidecar} is no manifest of {path.name} that is known here")
    files = tuple(_checked(entry, path.parent, sidecar) for entry in _list(facts, sidecar))
    if path.name not in {file.name for file in files}:
        raise InputError(f"{sidecar} is the manifest of another file than {path.name}")
    return Artifact(path, str(kind), files, facts)


def tensor_specs(facts: Mapping[str, Any], key: str) -> tuple[TensorSpec, ...]:
    """Read the inputs or outputs that a plan's manifest lists.

    Raises:
        InputError: There are none.
    """
    try:
        return tuple(TensorSpec(s["name"], s["dtype"], tuple(s["shape"])) for s in facts[key])
    except (KeyError, TypeError):
        raise InputError(f"the plan's manifest lists no {key}: build it again") from None


def _document(sidecar: Path, path: Path) -> dict[str, Any]:
    maker = "simam-export" if path.suffix == ".onnx" else "simam-build"
    try:
        if sidecar.stat().st_size > _LARGEST:
            raise InputError(f"{sidecar} has {sidecar.stat().st_size / 1e6:.0f} MB: no manifest")
        document = json.loads(sidecar.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{path.name} has no manifest {sidecar.name}: make it by {maker}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the manifest {sidecar}: {error}") from None
    return document if isinstance(document, dict) else {}


def _list(facts: Mapping[str, Any], sidecar: Path) -> list[tuple[str, str]]:
    try:
        return [(str(entry["name"]), str(entry["sha256"])) for entry in facts["files"]]
    except (KeyError, TypeError):
        raise InputError(f"{sidecar} lists no files with their hashes") from None


def _checked(entry: tuple[str, str], folder: Path, sidecar: Path) -> Path:
    """Find a listed file, which lies in the manifest's own folder, and hold it against its hash."""
    name, digest = entry
    file = folder / name
    if Path(name).name != name or not file.is_file():
        raise InputError(f"{sidecar} lists {name!r}, which is no file beside it")
    if sha256_of(file) != digest:
        raise InputError(f"{file} is not the file that {sidecar.name} describes: make it again")
    return file

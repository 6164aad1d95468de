"""The sidecar JSON beside an artifact."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from simam_deploy.core.artifacts import Manifest
from simam_deploy.core.files import parts, sha256_of
from simam_deploy.errors import InputError

SCHEMA = 1


_TOOLS = (
    "simam-deploy",
    "torch",
    "onnx",
    "onnxscript",
    "onnxsim",
    "onnxruntime",
    "onnxruntime-gpu",
)


def tool_versions() -> dict[str, str]:
    """List the installed packages that took part, with their versions."""
    versions = {}
    for package in _TOOLS:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def manifest_path(artifact: Path) -> Path:
    """Say where an artifact's manifest lies: `model.onnx` has `model.json`."""
    return artifact.with_suffix(".json")


def read_facts(artifact: Path) -> Manifest:
    """Read an artifact's manifest and hold the files it lists against their hashes.

    Returns:
        The manifest; empty where there is none, or where the JSON file is not one of ours.

    Raises:
        InputError: It cannot be read, or a file is missing or not the one that it was made for.
    """
    path = manifest_path(artifact)
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the manifest {path}: {error}") from error
    if not isinstance(document, dict) or "schema" not in document:
        return {}
    if document["schema"] != SCHEMA:
        raise InputError(f"{path} is a manifest of schema {document['schema']!r}, not {SCHEMA}")
    _check_files(artifact, document.get("files"))
    return document


def _check_files(artifact: Path, files: Any) -> None:
    """See that the artifact and what belongs to it are what the manifest lists.

    Raises:
        InputError: They are not.
    """
    try:
        listed = {str(file["name"]): file["sha256"] for file in files}
    except (TypeError, KeyError):
        raise InputError(f"the manifest of {artifact} lists no files with hashes") from None
    for part in parts(artifact):
        if listed.get(part.name) != sha256_of(part):
            raise InputError(
                f"{part} is not the file that its manifest {manifest_path(artifact).name} "
                "describes (sha256 differs): export it again, or take the manifest away"
            )


def write_json(path: Path, document: Manifest) -> None:
    """Write an indented JSON document.

    Raises:
        OSError: The disk is full or the folder cannot be written to.
        ValueError: The document holds a NaN, which JSON does not know.
    """
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")

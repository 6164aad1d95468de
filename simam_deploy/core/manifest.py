"""The sidecar JSON beside an artifact: its one reader and its one writer.

`model.onnx` has `model.json`, and `model.engine` has `model.engine.json`. What is read is bounded,
held against the table of facts and, where files are listed, against their hashes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simam_deploy.core.artifacts import Manifest
from simam_deploy.core.document import LARGEST, parse_json
from simam_deploy.core.facts import FACTS
from simam_deploy.core.files import PLANS, parts, read_small, read_whole, sha256_of
from simam_deploy.errors import EngineError, InputError

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
_SHOWN = 12
"""Digits of a hash in a message."""


@dataclass(frozen=True)
class Artifact:
    """An .onnx ("onnx") or a TensorRT plan ("engine") whose files are those of its manifest."""

    path: Path
    kind: str
    files: tuple[Path, ...]
    facts: Manifest


def tool_versions(more: Sequence[str] = ()) -> dict[str, str]:
    """List the installed packages that took part, and those of `more`, with their versions."""
    versions = {}
    for package in (*_TOOLS, *more):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def kind_of(artifact: Path) -> str:
    """Say what a manifest calls an artifact of this name: "engine" for a plan, else "onnx"."""
    return "engine" if artifact.suffix in PLANS else "onnx"


def manifest_path(artifact: Path) -> Path:
    """Say where an artifact's manifest lies: `model.json`, or `model.engine.json` of a plan."""
    if kind_of(artifact) == "engine":
        return artifact.with_name(f"{artifact.name}.json")
    return artifact.with_suffix(".json")


def write_manifest(artifact: Path, files: Sequence[Path], facts: Mapping[str, Any]) -> Manifest:
    """Write an artifact's manifest, with the size and hash of every file, and give it.

    Args:
        artifact: The .onnx or plan.
        files: What the manifest is to list.
        facts: All else; may be an earlier manifest, whose files are then listed anew.

    Raises:
        OSError: The disk is full or the folder cannot be written to.
        ValueError: A fact is a NaN, which JSON does not know.
    """
    listed = [{"name": p.name, "size": p.stat().st_size, "sha256": sha256_of(p)} for p in files]
    own = {"schema": SCHEMA, "kind": kind_of(artifact), "files": listed}
    document = {**own, **{key: fact for key, fact in facts.items() if key not in own}}
    write_json(manifest_path(artifact), document)
    return document


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write an indented JSON document.

    Raises:
        OSError: The disk is full or the folder cannot be written to.
        ValueError: The document holds a NaN, which JSON does not know.
    """
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def find_manifest(artifact: Path) -> Manifest | None:
    """Read an artifact's manifest; no file is held against it.

    Returns:
        The manifest; None where there is none, or the JSON there is not one of ours.

    Raises:
        InputError: It cannot be read, is damaged, too large, of another schema or artifact, or a
            fact is not of its type. EngineError, for a plan.
    """
    error = _error(artifact)
    path = manifest_path(artifact)
    try:
        document = read_json(path)
    except InputError as reason:
        raise error(f"the manifest cannot be used: {reason}") from reason.__cause__
    if not isinstance(document, dict) or "schema" not in document:
        return None
    _check_facts(document, artifact)
    return document


def _check_facts(document: Manifest, artifact: Path) -> None:
    """Hold a manifest against the table of facts.

    Raises:
        InputError: It is of another schema or artifact, or a fact is not of its type.
    """
    wrong = [k for k, kind in FACTS.items() if k in document and not kind.holds(document[k])]
    if document["schema"] != SCHEMA:
        reason = f"it is of schema {document['schema']!r:.40}, not {SCHEMA}"
    elif "kind" not in document:
        reason = "it has no 'kind'"
    elif document["kind"] != kind_of(artifact):
        reason = f"it is of a {document['kind']!r:.40}"
    elif "files" not in document:
        reason = "it lists no files"
    elif wrong:
        reason = f"its {wrong[0]!r} is not {FACTS[wrong[0]].wanted}"
    else:
        return
    raise _error(artifact)(
        f"{manifest_path(artifact)} is no manifest of {artifact.name} that is known here: {reason}"
    )


def read_facts(artifact: Path) -> Manifest:
    """Read an artifact's manifest and hold the files it lists, and those there, against it.

    Returns:
        The manifest; empty where there is none, or where the JSON file is not one of ours.

    Raises:
        InputError: As `find_manifest`, or a file is missing or not the one that it was made for.
    """
    document = find_manifest(artifact)
    if document is None:
        return {}
    check_files(artifact, document)
    return document


def read_contents(artifact: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read an artifact's manifest and, once, the files that it is made of.

    Whoever uses these bytes uses what was hashed, whatever comes to lie under the names meanwhile.

    Returns:
        The manifest, empty as `read_facts` says; and the bytes of every part by its name.

    Raises:
        InputError: As `read_facts`. EngineError, for a plan.
    """
    error = _error(artifact)
    document = find_manifest(artifact)
    try:
        contents = {part.name: read_whole(part) for part in parts(artifact)}
    except InputError as reason:
        raise error(str(reason)) from reason.__cause__
    if document is None:
        return {}, contents
    _check_listed(artifact, document, contents)
    return document, contents


def _check_listed(artifact: Path, document: Manifest, contents: Mapping[str, bytes]) -> None:
    """Hold what was read, and what else a manifest lists, against its hashes.

    Raises:
        InputError: As `check_files`.
    """
    error = _error(artifact)
    listed = _listed(artifact, document)
    for name, entry in listed.items():
        if name in contents:
            check_content(name, contents[name], entry, error)
        else:
            check_file(artifact.with_name(name), entry, error)


def read_artifact(path: Path) -> Artifact:
    """Read an artifact that must have a manifest, and hold its files against that.

    Args:
        path: `model.onnx` with `model.json`, or a plan `model.engine` with `model.engine.json`.

    Raises:
        InputError: The file or its manifest is missing or damaged, or they do not belong together.
            EngineError, for a plan.
    """
    if not path.is_file():
        raise _error(path)(f"cannot use {path}: no such file")
    document = need_manifest(path)
    return Artifact(path, kind_of(path), check_files(path, document), document)


def need_manifest(artifact: Path) -> Manifest:
    """Read an artifact's manifest, which must be there; no file is held against it.

    Raises:
        InputError: As `find_manifest`, or there is none. EngineError, for a plan.
    """
    document = find_manifest(artifact)
    if document is not None:
        return document
    path = manifest_path(artifact)
    if path.exists():
        raise _error(artifact)(f"{path} is no manifest of {artifact.name}: it has no 'schema'")
    maker = "simam-export" if kind_of(artifact) == "onnx" else "simam-build"
    raise _error(artifact)(f"{artifact.name} has no manifest {path.name}: make it by {maker}")


def check_files(artifact: Path, document: Manifest) -> tuple[Path, ...]:
    """Hold every file that a manifest lists, and every part of the artifact, against its hash.

    Returns:
        The files, which lie in the artifact's folder.

    Raises:
        InputError: One is missing, another, or not listed. EngineError, for a plan.
    """
    error = _error(artifact)
    listed = _listed(artifact, document)
    for name, entry in listed.items():
        check_file(artifact.with_name(name), entry, error)
    return tuple(artifact.with_name(name) for name in listed)


def _listed(artifact: Path, document: Manifest) -> dict[str, dict[str, Any]]:
    """Give a manifest's entries by file name: every part among them, and each beside the artifact.

    Raises:
        InputError: A part is not listed, or what is listed is no file there.
    """
    error = _error(artifact)
    listed = {entry["name"]: entry for entry in document["files"]}
    for part in parts(artifact):
        if part.name not in listed:
            sidecar = manifest_path(artifact)
            raise error(f"{sidecar} does not list {part.name}: it is the manifest of another file")
    for name in listed:
        if Path(name).name != name or not (artifact.parent / name).is_file():
            raise error(f"{manifest_path(artifact)} lists {name!r}, which is no file beside it")
    return listed


def check_file(file: Path, entry: Mapping[str, Any], error: type[InputError] = InputError) -> None:
    """Hold a file against the size and hash that a manifest lists for it.

    Raises:
        InputError: It is another file, or cannot be read. `error`, where that is given.
    """
    try:
        _check_size(file.name, file.stat().st_size, entry, error)
        _check_hash(file.name, sha256_of(file), entry, error)
    except OSError as reason:
        raise error(f"cannot read {file}: {reason.strerror}") from reason


def check_content(
    name: str, content: bytes, entry: Mapping[str, Any], error: type[InputError] = InputError
) -> None:
    """Hold the bytes of a file against the size and hash that a manifest lists for it.

    Raises:
        InputError: They are another file's. `error`, where that is given.
    """
    _check_size(name, len(content), entry, error)
    _check_hash(name, hashlib.sha256(content).hexdigest(), entry, error)


def _check_size(name: str, size: int, entry: Mapping[str, Any], error: type[InputError]) -> None:
    if size != entry["size"]:
        cut = size < entry["size"]
        what = "truncated" if cut else "another file than its manifest describes"
        raise error(f"{name} is {what}: {size} bytes, {entry['size']} were written")


def _check_hash(name: str, found: str, entry: Mapping[str, Any], error: type[InputError]) -> None:
    if found != entry["sha256"]:
        raise error(
            f"{name} is not the file that its manifest describes (sha256 differs): its "
            f"sha256 is {found[:_SHOWN]}..., the manifest says {entry['sha256'][:_SHOWN]}..."
        )


def read_json(path: Path) -> Any:
    """Read a JSON document of at most 16 MiB; None where there is no file.

    Raises:
        InputError: It cannot be read, or is none.
    """
    content = read_small(path, LARGEST)
    if content is None:
        return None
    try:
        return parse_json(content)
    except ValueError as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _error(artifact: Path) -> type[InputError]:
    return EngineError if kind_of(artifact) == "engine" else InputError

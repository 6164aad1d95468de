"""The sidecar of a plan: `model.engine` has `model.engine.json`.

Not `model.json`, which is the manifest of `model.onnx` in the same folder. The plan itself stays
as the library wrote it: with a prefix or a suffix no other tool would load it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simam_deploy.core.artifacts import EngineArtifact, Manifest, PlanAudit
from simam_deploy.core.files import sha256_of
from simam_deploy.core.manifest import SCHEMA, write_json
from simam_deploy.core.specs import TensorSpec, specs_json
from simam_deploy.engine.build.compile import Compiled
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.request import BuildRequest, profiles_from
from simam_deploy.errors import EngineError

_LARGEST = 1 << 24
"""Bytes of a manifest that will be read; ours are some 20 kB."""


def sidecar(plan: Path) -> Path:
    """Say where a plan's manifest lies."""
    return plan.with_name(f"{plan.name}.json")


def log_of(plan: Path) -> Path:
    """Say where the library's words on a plan lie."""
    return plan.with_name(f"{plan.name}.log")


def describe(
    request: BuildRequest,
    plan: Path,
    compiled: Compiled,
    audit: PlanAudit,
    io: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Give the manifest's document.

    Args:
        request: What was built.
        plan: The plan, written.
        compiled: What the build process told.
        audit: The plan against the request.
        io: Inputs and outputs.
        facts: What else is known: gpu, source, lambda, validation, notes, command.
    """
    plugin = request.plugin
    return {
        "schema": SCHEMA,
        "kind": "engine",
        "files": [{"name": plan.name, "size": plan.stat().st_size, "sha256": sha256_of(plan)}],
        "flavour": request.flavour,
        "version": compiled.version,
        "targets": list(FLAVOURS[request.flavour].target_names(request.targets)),
        "precision": request.precision,
        "tf32": request.tf32,
        "workspace": request.workspace,
        "profiles": [[asdict(r) for r in profile] for profile in request.profiles],
        "inputs": specs_json(io[0]),
        "outputs": specs_json(io[1]),
        "onnx": {"file": request.onnx.name, "sha256": sha256_of(request.onnx)},
        "plugin": plugin and {"file": plugin.name, "sha256": sha256_of(plugin)},
        "audit": asdict(audit),
        "build": {
            "seconds": round(compiled.seconds, 3),
            "peak_memory": compiled.peak_memory,
            "warnings": list(compiled.warnings),
        },
        **facts,
    }


def write_manifest(plan: Path, document: Manifest) -> None:
    """Write a plan's manifest.

    Raises:
        OSError: The disk is full or the folder cannot be written to.
    """
    write_json(sidecar(plan), document)


def read_manifest(plan: Path) -> dict[str, Any]:
    """Read a plan's manifest.

    Raises:
        EngineError: There is none, or it is not one of ours.
    """
    path = sidecar(plan)
    try:
        if path.stat().st_size > _LARGEST:
            raise EngineError(f"{path} is {path.stat().st_size / 1e6:.0f} MB, no manifest")
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EngineError(
            f"{plan.name} has no manifest {path.name}. A plan can run code: build it with "
            "simam-build, or trust it if you know who built it",
            options=("trust_engine",),
        ) from None
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise EngineError(f"{path} is damaged: it holds no JSON") from None
    missing = [key for key in _NEEDED if not isinstance(document, dict) or key not in document]
    if missing or document["kind"] != "engine" or document["schema"] != SCHEMA:
        what = f"it has no {missing[0]!r}" if missing else f"it is of a {document['kind']!r}"
        raise EngineError(f"{path} is no engine's manifest that is known here: {what}")
    return document


_NEEDED = ("schema", "kind", "files", "flavour", "version", "targets", "plugin", "command")


def artifact_of(
    plan: Path, document: Mapping[str, Any], cached: bool, seconds: float
) -> EngineArtifact:
    """Give the artifact that a manifest of ours describes."""
    build, audit = document["build"], document["audit"]
    plugin = document["plugin"]
    return EngineArtifact(
        path=plan,
        manifest_path=sidecar(plan),
        flavour=document["flavour"],
        version=document["version"],
        targets=tuple(document["targets"]),
        precision=document["precision"],
        profiles=profiles_from(document["profiles"]),
        inputs=_specs(document["inputs"]),
        outputs=_specs(document["outputs"]),
        e_lambda=document["e_lambda"],
        lowering=document["lowering"],
        plugin=plugin and plugin["file"],
        audit=PlanAudit(**{**audit, "findings": tuple(audit["findings"])}),
        validation=document["validation"],
        notes=tuple(document["notes"]),
        warnings=tuple(build["warnings"]),
        size=document["files"][0]["size"],
        build_seconds=build["seconds"],
        peak_memory=build["peak_memory"],
        cached=cached,
        seconds=seconds,
    )


def _specs(document: Any) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(s["name"], s["dtype"], tuple(s["shape"])) for s in document)

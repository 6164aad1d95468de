"""The sidecar of a plan: `model.engine` has `model.engine.json`.

Not `model.json`, which is the manifest of `model.onnx` in the same folder. The plan itself stays
as the library wrote it: with a prefix or a suffix no other tool would load it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simam_deploy.core.artifacts import EngineArtifact, Manifest, PlanAudit
from simam_deploy.core.files import sha256_of
from simam_deploy.core.manifest import manifest_path, need_manifest
from simam_deploy.core.specs import TensorSpec, specs_from, specs_json
from simam_deploy.engine.build.compile import Compiled
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.request import BuildRequest, profiles_from
from simam_deploy.errors import EngineError


def describe(
    request: BuildRequest,
    compiled: Compiled,
    audit: PlanAudit,
    io: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Give the facts that a plan's manifest states.

    Args:
        request: What was built.
        compiled: What the build process told.
        audit: The plan against the request.
        io: Inputs and outputs.
        facts: What else is known: gpu, source, lambda, validation, notes, command.
    """
    plugin = request.plugin
    return {
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


def read_manifest(plan: Path) -> Manifest:
    """Read a plan's manifest.

    Raises:
        EngineError: There is none, or it is not one of ours.
    """
    path = manifest_path(plan)
    if not path.exists():
        raise EngineError(
            f"{plan.name} has no manifest {path.name}. A plan can run code: build it with "
            "simam-build, or trust it if you know who built it",
            options=("trust_engine",),
        )
    document = need_manifest(plan)
    missing = [key for key in _NEEDED if key not in document]
    if missing or not document["files"]:
        what = f"it has no {missing[0]!r}" if missing else "it lists no files"
        raise EngineError(f"{path} is no engine's manifest that is known here: {what}")
    return document


_NEEDED = ("flavour", "version", "targets", "plugin", "command")
"""What is asked before a plan is loaded."""


def artifact_of(
    plan: Path, document: Mapping[str, Any], cached: bool, seconds: float
) -> EngineArtifact:
    """Give the artifact that a manifest of ours describes.

    Raises:
        EngineError: The manifest, which somebody may have edited, is not whole.
    """
    try:
        return _artifact(plan, document, cached, seconds)
    except (LookupError, TypeError, ValueError) as error:
        raise EngineError(f"{manifest_path(plan)} makes no sense: {error!r}") from error


def _artifact(
    plan: Path, document: Mapping[str, Any], cached: bool, seconds: float
) -> EngineArtifact:
    build, audit = document["build"], document["audit"]
    plugin = document["plugin"]
    return EngineArtifact(
        path=plan,
        manifest_path=manifest_path(plan),
        flavour=document["flavour"],
        version=document["version"],
        targets=tuple(document["targets"]),
        precision=document["precision"],
        profiles=profiles_from(document["profiles"]),
        inputs=specs_from(document["inputs"]),
        outputs=specs_from(document["outputs"]),
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
        contradictions=tuple(document.get("contradictions", ())),
        candidates=tuple(document.get("candidates", ())),
    )

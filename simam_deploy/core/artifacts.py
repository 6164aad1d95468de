"""What the commands make: a path, and the facts that its manifest states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simam_deploy.core.specs import Profile, SimamSite, TensorSpec, specs_json
from simam_deploy.core.validation import ValidationReport


@dataclass(frozen=True)
class OnnxArtifact:
    """A validated ONNX file, its manifest beside it, and the facts both state.

    Attributes:
        path: The .onnx, and `manifest_path` its .json.
        arch: The network's name.
        e_lambda: None where the sites of a recognised graph have different ones.
        e_lambda_source: Where it was found; an assumed one says so.
        sites: Every SimAM, in the order of the graph.
        lowering: What they became, a name of `graph.lower`.
        precision: Of weights and activations: one of `PRECISIONS`.
        opset: Of the default domain.
        size: Bytes, external data included.
        inputs: In the order of the graph, as are `outputs`.
        validation: How it was held against its source.
        notes: What was put right, left out or assumed on the way.
        seconds: What it took.
        contradictions: Where you, or the network, say otherwise than the file does.
    """

    path: Path
    manifest_path: Path
    arch: str
    e_lambda: float | None
    e_lambda_source: str
    sites: tuple[SimamSite, ...]
    lowering: str
    precision: str
    opset: int
    size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    validation: ValidationReport
    notes: tuple[str, ...]
    seconds: float
    contradictions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam export --json` prints."""
        return {
            "artifact": str(self.path),
            "manifest": str(self.manifest_path),
            "arch": self.arch,
            "e_lambda": self.e_lambda,
            "e_lambda_source": self.e_lambda_source,
            "simam_sites": len(self.sites),
            "lowering": self.lowering,
            "precision": self.precision,
            "opset": self.opset,
            "size": self.size,
            "inputs": specs_json(self.inputs),
            "outputs": specs_json(self.outputs),
            "validation": self.validation.summary(),
            "notes": list(self.notes),
            "contradictions": list(self.contradictions),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class PlanAudit:
    """What was asked of a plan, held against what can be known of it.

    Attributes:
        source: Where the facts of the plan come from, or "nothing" where it does not tell.
        asked: The precision asked for.
        graph: How many convolutions and matrix products of the graph compute in each type.
        built: The same of the plan; None where it does not tell.
        launches: Kernel launches; None where the plan does not tell.
        sites: SimAM sites in the graph.
        fused: Sites whose every operation lies in one launch; None where that is not known.
        plugins: Launches that are plugins; None where the plan does not tell.
        reformats: Launches that only move data and touch a site; None where that is not known.
        findings: What is other than asked, a line each.
    """

    source: str
    asked: str
    graph: Mapping[str, int]
    built: Mapping[str, int] | None
    launches: int | None
    sites: int
    fused: int | None
    plugins: int | None
    reformats: int | None
    findings: tuple[str, ...]


@dataclass(frozen=True)
class EngineArtifact:
    """A TensorRT plan, its manifest beside it, and the facts both state.

    Attributes:
        flavour: "tensorrt" or "tensorrt_rtx", and `version` the library's own.
        targets: Compute capabilities as sm89; "current" for the GPU of the build machine,
            "default" for the library's own choice, "ampere+" for sm80 and later.
        precision: What the plan was asked for and was found to hold.
        plugin: Name of the plugin library inside the plan; None without one.
        validation: What a run on the GPU gave, or {"passed": None, "reason": ...} without one.
        warnings: The library's own, each once; all it said is in the log beside the plan.
        build_seconds: The child process's time, and `peak_memory` its memory in bytes.
        cached: Whether the plan was built before and only copied now.
        candidates: The figures of every form that was built to choose from, in order; none where
            there was nothing to choose.
    """

    path: Path
    manifest_path: Path
    flavour: str
    version: str
    targets: tuple[str, ...]
    precision: str
    profiles: tuple[Profile, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    e_lambda: float | None
    lowering: str
    plugin: str | None
    audit: PlanAudit
    validation: Manifest
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    size: int
    build_seconds: float
    peak_memory: int
    cached: bool
    seconds: float
    contradictions: tuple[str, ...] = ()
    candidates: tuple[Manifest, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam build --json` prints."""
        return {
            **asdict(self),
            "path": str(self.path),
            "manifest_path": str(self.manifest_path),
            "inputs": specs_json(self.inputs),
            "outputs": specs_json(self.outputs),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class ContextArtifact:
    """An .onnx around a plan, for ONNX Runtime's `provider`.

    `files` are the .onnx and, where it does not fit in, the plan; `plan` holds its facts.
    """

    path: Path
    files: tuple[Path, ...]
    provider: str
    plan: EngineArtifact

    def to_json(self) -> dict[str, Any]:
        """Give the document that `--format epcontext --json` prints."""
        own = {"provider": self.provider, "files": [str(file) for file in self.files]}
        return {**self.plan.to_json(), **own}


Manifest = Mapping[str, Any]
"""The sidecar's document; `simam_deploy.core.manifest` writes it."""

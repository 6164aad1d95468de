"""The facts that travel between rooms: frozen, without torch, and ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
"""What a model's weights and activations may be in."""
METADATA_PREFIX = "simam."
"""Of the facts that an export puts into a model's metadata_props."""


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output; a string in `shape` is a dynamic dimension's name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        """Render as `name float32 batch x 3 x 224 x 224`."""
        return f"{self.name} {self.dtype} {' x '.join(map(str, self.shape))}"


@dataclass(frozen=True)
class SimamSite:
    """One SimAM in the exported graph: where it is, what it sees, (N, C, H, W), its lambda."""

    name: str
    shape: tuple[int | str, ...]
    e_lambda: float


@dataclass(frozen=True)
class CaseResult:
    """One output of one validation case.

    `max_abs` is the largest difference, `max_rel` that difference over the reference's largest
    magnitude, and `allowed` the bound on it; the first two are NaN where `reason` says why
    nothing could be compared.
    """

    case: str
    output: str
    max_abs: float
    max_rel: float
    allowed: float
    reason: str = ""

    @property
    def passed(self) -> bool:
        """True within the bound; NaN is not."""
        return self.max_rel <= self.allowed


class _LocalCheck:
    """A part of a network judged by itself: an error, and the bound on it, in units of rounding."""

    error_ulps: float
    allowed_ulps: float
    reason: str

    @property
    def passed(self) -> bool:
        """True within the bound; NaN is not."""
        return not self.reason and self.error_ulps <= self.allowed_ulps

    def to_json(self) -> dict[str, Any]:
        """Give every field and the verdict; None for what is not finite."""
        return {**json_ready(vars(self)), "passed": self.passed}


@dataclass(frozen=True)
class GateCheck(_LocalCheck):
    """What became of a SimAM site's gate.

    Attributes:
        name: The site's.
        gate: The lowest and the highest that the candidate has.
        expected: The same of the formula, in float64.
        cosine: Between the two, both less 0.6225; 0 where all gates collapsed.
        collapsed: The fraction of gates at 0.6225 that should not be.
        error_ulps: The largest error, in units of the precision's eps times the gate.
        allowed_ulps: The bound on it.
        reason: Why nothing could be compared, or what is wrong beside the gate.
    """

    name: str
    gate: tuple[float, float]
    expected: tuple[float, float]
    cosine: float
    collapsed: float
    error_ulps: float
    allowed_ulps: float
    reason: str = ""


@dataclass(frozen=True)
class LayerCheck(_LocalCheck):
    """A layer held against its float32 self, on the map that the float32 network has there.

    Attributes:
        name: The layer's.
        kind: Its ONNX operator.
        error_ulps: The largest error, in units of the precision's eps times sum |w| |x| + |b|;
            of a tensor in int8, in units of what eight bits may cost it.
        allowed_ulps: The bound on it.
        reason: Why nothing could be compared.
    """

    name: str
    kind: str
    error_ulps: float
    allowed_ulps: float
    reason: str = ""


@dataclass(frozen=True)
class ValidationReport:
    """What the comparison of two models found, and the rule that its bounds follow.

    `results` is about the outputs. `gates` and `layers` are about every SimAM site and every
    layer by itself, where the precisions differ; empty where they do not.
    """

    reference: str
    candidate: str
    precision: str
    rule: str
    results: tuple[CaseResult, ...]
    gates: tuple[GateCheck, ...] = ()
    layers: tuple[LayerCheck, ...] = ()

    @property
    def passed(self) -> bool:
        """True when there was something to compare and all of it agreed."""
        checks: list[CaseResult | GateCheck | LayerCheck]
        checks = [*self.results, *self.gates, *self.layers]
        return bool(self.results) and all(check.passed for check in checks)

    @property
    def worst(self) -> CaseResult:
        """The first failure, or else the result that comes nearest to its bound."""
        failures = [r for r in self.results if not r.passed]
        return failures[0] if failures else max(self.results, key=lambda r: r.max_rel / r.allowed)

    def summary(self) -> dict[str, Any]:
        """Give the figures that a manifest keeps; `allowed` is the bound of the worst result."""
        compared = [r for r in self.results if not r.reason]
        return {
            "passed": self.passed,
            "reference": self.reference,
            "candidate": self.candidate,
            "precision": self.precision,
            "rule": self.rule,
            "max_abs": max((r.max_abs for r in compared if math.isfinite(r.max_abs)), default=None),
            "max_rel": max((r.max_rel for r in compared), default=None),
            "allowed": self.worst.allowed,
            "cases": len({r.case for r in self.results}),
            **_local_summary("gates", self.gates),
            **_local_summary("layers", self.layers),
        }

    def details(self) -> dict[str, Any]:
        """Give the summary and every result; what a failed export leaves behind."""
        return {
            **self.summary(),
            "results": [{**json_ready(asdict(r)), "passed": r.passed} for r in self.results],
            **({"gates": [gate.to_json() for gate in self.gates]} if self.gates else {}),
            **({"layers": [layer.to_json() for layer in self.layers]} if self.layers else {}),
        }


def _local_summary(name: str, checks: Sequence[GateCheck | LayerCheck]) -> dict[str, Any]:
    """Give the count, the failures and the worst error of what was judged locally."""
    if not checks:
        return {}
    worst = max((c.error_ulps for c in checks if math.isfinite(c.error_ulps)), default=None)
    failed = sum(not check.passed for check in checks)
    bound = checks[0].allowed_ulps
    return {
        name: {"count": len(checks), "failed": failed, "worst_ulps": worst, "allowed_ulps": bound}
    }


def json_ready(value: Any) -> Any:
    """Replace what is not finite by None: JSON has neither, and strict readers refuse the file."""
    if isinstance(value, dict):
        return {k: json_ready(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [json_ready(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class OnnxArtifact:
    """A validated ONNX file, its manifest beside it, and the facts both state.

    `e_lambda` is None where the sites of a recognised graph have different ones.
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
            "input": specs_json(self.inputs)[0],
            "outputs": specs_json(self.outputs),
            "validation": self.validation.summary(),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class ShapeRange:
    """What an engine's profile takes at one input: full shapes, `opt` the one it is tuned for."""

    name: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    def holds(self, shape: tuple[int, ...]) -> bool:
        """Tell whether a full shape lies within."""
        return len(shape) == len(self.min) and all(
            low <= size <= high for low, size, high in zip(self.min, shape, self.max, strict=True)
        )


Profile = tuple[ShapeRange, ...]
"""One range per engine input."""


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


def specs_json(specs: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
    """Turn specs into JSON-able dictionaries."""
    return [{"name": s.name, "dtype": s.dtype, "shape": list(s.shape)} for s in specs]


Manifest = Mapping[str, Any]
"""The sidecar's document; `simam_deploy.manifest` writes it."""

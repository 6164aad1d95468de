"""What a comparison of two models found, in figures and verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


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

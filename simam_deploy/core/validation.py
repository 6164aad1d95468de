"""What a comparison of two models found, in figures and verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class CaseResult:
    """One output of one validation case, at the slice of it that is nearest its bound.

    `max_abs` is the largest difference there, `max_rel` that difference over the reference's
    largest magnitude there, and `allowed` the bound on it; the first two are NaN where `reason`
    says why nothing could be compared. `where` names the row, by its kind, and the slice.
    """

    case: str
    output: str
    max_abs: float
    max_rel: float
    allowed: float
    reason: str = ""
    where: str = ""

    @property
    def passed(self) -> bool:
        """True within the bound; NaN is not."""
        return self.max_rel <= self.allowed

    @property
    def share(self) -> float:
        """How much of the bound is used; beyond a bound of 0 is whatever is not 0."""
        if not self.allowed:
            return math.inf if self.max_rel else 0.0
        return self.max_rel / self.allowed


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
class Seen:
    """How far a planted fault moves the outputs, in units of their bound, and where it was."""

    units: float
    where: str = ""


@dataclass(frozen=True)
class Power:
    """What the outputs would have shown of faults, on the inputs that were compared.

    Attributes:
        dropped: A SimAM left out, the one that shows least of those tried; None without SimAM.
        e_lambda: Every lambda doubled; None likewise.
        score: A slice of an output off by 5 %, the one that shows least.
        tried: How many sites were left out in turn.
        sites: How many there are.
        still: The outputs that are the same whatever the input, or empty.
    """

    dropped: Seen | None
    e_lambda: Seen | None
    score: Seen
    tried: int
    sites: int
    still: tuple[str, ...] = ()

    @property
    def proves(self) -> bool:
        """True where a SimAM left out, or a score off by 5 %, would have been refused."""
        gates = self.dropped is None or self.dropped.units > 1
        return gates and self.score.units > 1 and not self.still


@dataclass(frozen=True)
class Departure:
    """Where the candidate's maps first leave the reference's, told by the SimAM sites.

    Attributes:
        site: The first whose map is off; empty where all are right and the outputs are not.
        before: The largest difference at any site before, relative to the map's largest value.
        here: The same at the site, or of the outputs.
        suspects: The nodes with weights between the last right map and here.
    """

    site: str
    before: float
    here: float
    suspects: tuple[str, ...]


@dataclass(frozen=True)
class ValidationReport:
    """What the comparison of two models found, and the rule that its bounds follow.

    Attributes:
        reference: What computed the outputs that are right, with its version.
        candidate: What is held against it.
        precision: The candidate's.
        rule: How the bounds follow from the network, in words.
        results: About the outputs, one for each output and case.
        gates: About every SimAM site by itself, where the candidate shows them.
        layers: About every layer of a half or int8 candidate.
        departure: Where the maps part, if the outputs failed and they part at one place.
        power: What the outputs would have shown of faults.
        given: Whether a user gave the bound.
        whose: Whose error the outputs show, if they failed.
        notes: What a reader should know.
    """

    reference: str
    candidate: str
    precision: str
    rule: str
    results: tuple[CaseResult, ...]
    gates: tuple[GateCheck, ...] = ()
    layers: tuple[LayerCheck, ...] = ()
    departure: Departure | None = None
    power: Power | None = None
    given: bool = False
    whose: str = ""
    notes: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """True where all agreed, and the outputs would have shown it if they did not."""
        return self.passed and self.power is not None and self.power.proves

    @property
    def outputs_passed(self) -> bool:
        """True when there were outputs to compare and all of them agreed."""
        return bool(self.results) and all(result.passed for result in self.results)

    @property
    def passed(self) -> bool:
        """True when there was something to compare and all of it agreed."""
        inside = all(check.passed for check in (*self.gates, *self.layers))
        return self.outputs_passed and inside

    @property
    def worst(self) -> CaseResult:
        """The first failure, or else the result that comes nearest to its bound."""
        failures = [r for r in self.results if not r.passed]
        return failures[0] if failures else max(self.results, key=lambda r: r.share)

    @property
    def by_output(self) -> tuple[CaseResult, ...]:
        """Of each output, the first failure, or else the result that comes nearest its bound."""
        outputs = dict.fromkeys(r.output for r in self.results)
        return tuple(
            replace(self, results=tuple(r for r in self.results if r.output == name)).worst
            for name in outputs
        )

    def summary(self) -> dict[str, Any]:
        """Give the figures that a manifest keeps; `allowed` is the bound of the worst result."""
        compared = [r for r in self.results if not r.reason]
        return {
            "passed": self.passed,
            "proved": self.proved,
            "reference": self.reference,
            "candidate": self.candidate,
            "precision": self.precision,
            "rule": self.rule,
            **({"given": True} if self.given else {}),
            **({"whose": self.whose} if self.whose else {}),
            "max_abs": max((r.max_abs for r in compared if math.isfinite(r.max_abs)), default=None),
            "max_rel": max((r.max_rel for r in compared), default=None),
            "allowed": self.worst.allowed,
            "cases": len({r.case for r in self.results}),
            "outputs": [{**json_ready(asdict(r)), "passed": r.passed} for r in self.by_output],
            **_local_summary("gates", self.gates),
            **_local_summary("layers", self.layers),
            **({"power": json_ready(asdict(self.power))} if self.power else {}),
            **({"notes": list(self.notes)} if self.notes else {}),
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
    finite = [check for check in checks if math.isfinite(check.error_ulps)]
    worst = max(finite, key=lambda check: check.error_ulps / check.allowed_ulps, default=None)
    return {
        name: {
            "count": len(checks),
            "failed": sum(not check.passed for check in checks),
            "worst_ulps": worst.error_ulps if worst else None,
            "allowed_ulps": (worst or checks[0]).allowed_ulps,
        }
    }


def json_ready(value: Any) -> Any:
    """Replace what is not finite by None: JSON has neither, and strict readers refuse the file."""
    if isinstance(value, dict):
        return {k: json_ready(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [json_ready(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""What holding one model against another found: frozen, and ready for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from simam_deploy.core.specs import TensorSpec, specs_json
from simam_deploy.core.validation import (
    Departure,
    GateCheck,
    LayerCheck,
    ValidationReport,
    json_ready,
)


@dataclass(frozen=True)
class Scores:
    """The share of labelled samples whose class is first, or among the first five."""

    top1: float
    top5: float


@dataclass(frozen=True)
class Accuracy:
    """Both models on the same samples.

    Attributes:
        samples: How many.
        agreement: The share for which both rank the same class first.
        required: The least agreement that passes.
        reference: Scores, None without labels.
        candidate: Scores, None without labels.
    """

    samples: int
    agreement: float
    required: float
    reference: Scores | None
    candidate: Scores | None

    @property
    def passed(self) -> bool:
        """True where there were samples and enough of them agree."""
        return self.samples > 0 and self.agreement >= self.required


@dataclass(frozen=True)
class MeanPrecision:
    """COCO's mean average precision: over overlaps of 0.5 to 0.95, and at 0.5."""

    map: float
    map50: float


@dataclass(frozen=True)
class Detections:
    """Both detectors on the same samples.

    Attributes:
        samples: How many.
        agreement: F1 of what both detect with a score above 0.25: of one class, overlapping by
            half.
        required: The least agreement that passes.
        found: How much the reference detects.
        lost: What of it the candidate does not.
        added: What the candidate detects, and the reference does not.
        mean_iou: The mean overlap of what both detect, None where that is nothing.
        score_difference: The largest between their scores.
        reference: Its precision, None where no boxes are known.
        candidate: Its precision, None where no boxes are known.
        reference_masks: The precision of its masks, None where it gives none, or no outlines are
            known.
        candidate_masks: The same of the candidate.
    """

    samples: int
    agreement: float
    required: float
    found: int
    lost: int
    added: int
    mean_iou: float | None
    score_difference: float
    reference: MeanPrecision | None
    candidate: MeanPrecision | None
    reference_masks: MeanPrecision | None = None
    candidate_masks: MeanPrecision | None = None

    @property
    def passed(self) -> bool:
        """True where there were samples and enough of the detections agree."""
        return self.samples > 0 and self.agreement >= self.required


@dataclass(frozen=True)
class Bisection:
    """The nodes that must compute in float32 for the outputs to stay within their bound.

    Attributes:
        kept: Their names in the reference's graph, in its order.
        of: How many nodes a conversion makes half otherwise.
        trials: How many conversions were run.
        minimal: Whether each of them was shown to be needed; False where the trials ran out.
        reason: Why no set helps, if none does.
        written: The file that was written with them, if one was.
    """

    kept: tuple[str, ...]
    of: int
    trials: int
    minimal: bool
    reason: str = ""
    written: str | None = None


@dataclass(frozen=True)
class Side:
    """One of the two models: its file's name, how it was run, its precision, what it takes."""

    file: str
    runner: str
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class ComparisonReport:
    """All that `simam-validate` says of two models.

    Attributes:
        reference: The model that is right by definition.
        candidate: The other.
        validation: Outputs, gates, layers, and what a fault would have shown.
        accuracy: On labelled or unlabelled samples, if there were any.
        bisection: If it was asked for and the outputs failed.
        notes: What was matched by position, cast and the like.
        seconds: What it took.
        gates_shown: False for a plan, whose gates nobody can read, and where there is no SimAM.
    """

    reference: Side
    candidate: Side
    validation: ValidationReport
    accuracy: Accuracy | Detections | None
    bisection: Bisection | None
    notes: tuple[str, ...]
    seconds: float
    gates_shown: bool = True

    @property
    def gates(self) -> tuple[GateCheck, ...]:
        """One check a SimAM site of the reference, the worst over all inputs."""
        return self.validation.gates

    @property
    def departure(self) -> Departure | None:
        """Where the maps part, if the outputs failed and they part at one place."""
        return self.validation.departure

    @property
    def layers(self) -> tuple[LayerCheck, ...]:
        """One check a layer of a half candidate that has the reference's layers."""
        return self.validation.layers

    @property
    def failures(self) -> tuple[str, ...]:
        """Say what failed, a line each; nothing where all passed."""
        found = (self._gates(), self._layers(), self._outputs(), self._agreement())
        return tuple(line for line in found if line)

    @property
    def passed(self) -> bool:
        """True where nothing failed."""
        return not self.failures

    def _outputs(self) -> str:
        if self.validation.outputs_passed:
            return ""
        worst = self.validation.worst
        found = worst.reason or f"off by {worst.max_rel:.1e} (allowed {worst.allowed:.1e})"
        found += f" at {worst.where}" if worst.where else ""
        where = f"; {place(self.departure)}" if self.departure else ""
        where += f"; {self.validation.whose}" if self.validation.whose else ""
        return f"output {worst.output} of case '{worst.case}': {found}{where}"

    def _gates(self) -> str:
        gates = self.gates
        if not gates:
            return "no SimAM gate was checked" if self.gates_shown else ""
        failed = [check for check in gates if not check.passed]
        if not failed:
            return ""
        first = failed[0]
        found = first.reason or (
            f"off by {first.error_ulps:.3g} units of {self.candidate.precision} "
            f"(allowed {first.allowed_ulps:g})"
        )
        return f"{len(failed)} of {len(gates)} gates: {first.name}: {found}"

    def _layers(self) -> str:
        layers = self.layers
        failed = [check for check in layers if not check.passed]
        if not failed:
            return ""
        first = failed[0]
        found = first.reason or (
            f"off by {first.error_ulps:.3g} units of rounding (allowed {first.allowed_ulps:g})"
        )
        return f"{len(failed)} of {len(layers)} layers: {first.kind} {first.name}: {found}"

    def _agreement(self) -> str:
        found = self.accuracy
        if found is None or found.passed:
            return ""
        return f"agreement {found.agreement:.4f} on {found.samples} samples ({found.required:g})"

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam validate --json` prints; it holds no NaN."""
        return {
            "passed": self.passed,
            "failures": list(self.failures),
            "reference": _side(self.reference),
            "candidate": _side(self.candidate),
            "validation": json_ready(self.validation.details()),
            "proved": self.passed and self.validation.proved,
            "gates": [check.to_json() for check in self.gates],
            "gates_shown": self.gates_shown,
            "layers": [check.to_json() for check in self.layers],
            "power": _record(self.validation.power),
            "departure": _record(self.validation.departure),
            "accuracy": _record(self.accuracy),
            "bisection": _record(self.bisection),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


def place(departure: Departure) -> str:
    """Word where the maps part."""
    where = f"at the map of {departure.site}" if departure.site else "behind the last SimAM"
    nodes = f", made by {', '.join(departure.suspects)}" if departure.suspects else ""
    return f"it departs {where} ({departure.before:.1e} before, {departure.here:.1e} there){nodes}"


def _side(side: Side) -> dict[str, Any]:
    return {**asdict(side), "inputs": specs_json(side.inputs)}


def _record(part: Any) -> Any:
    return None if part is None else json_ready(asdict(part))


def describe_failure(report: ValidationReport) -> str:
    """Name the first wrong gate, else the first wrong layer, else the output.

    A gate or a layer is judged by itself, so it is where the fault is; an output is where a fault
    arrives.
    """
    for what, checks in (("the gate of SimAM", report.gates), ("layer", report.layers)):
        wrong = [check for check in checks if not check.passed]
        if wrong:
            return f"{what} {_local(wrong[0])} ({len(wrong)} of {len(checks)} fail)"
    worst = report.worst
    if worst.reason:
        return f"output {worst.output} of case '{worst.case}': {worst.reason}"
    where = f", {worst.where}," if worst.where else ""
    return (
        f"output {worst.output} of case '{worst.case}'{where} is off by {worst.max_rel:.1e} of the "
        f"largest value there (allowed {worst.allowed:.1e})"
    )


def _local(check: GateCheck | LayerCheck) -> str:
    if check.reason:
        return f"{check.name}: {check.reason}"
    found = f"off by {check.error_ulps:.3g} units of rounding"
    return f"{check.name} is {found} (allowed {check.allowed_ulps:g})"

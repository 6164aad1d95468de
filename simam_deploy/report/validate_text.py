"""The tables of `simam validate`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from simam_deploy.core.specs import QUANTISED
from simam_deploy.core.validation import GateCheck, LayerCheck, ValidationReport
from simam_deploy.report.columns import columns, wrapped
from simam_deploy.report.power_text import power_lines, verdict_word
from simam_deploy.report.terminal import one_line, room
from simam_deploy.verify.report import (
    Accuracy,
    Bisection,
    ComparisonReport,
    Detections,
    MeanPrecision,
    Side,
)

_INDENT = " " * 6
_KEPT = 20
_TIED = "\N{NO-BREAK SPACE}"


def validate_table(report: ComparisonReport) -> str:
    """Lay out a report: the verdict, both models, what was held against what, every site."""
    verdict = "FAILED" if not report.passed else verdict_word(report.validation, "passed")
    files = f"{report.candidate.file} against {report.reference.file}"
    head = f"{one_line(files)}: {verdict}"
    sections = [
        "\n".join([head, *(_bullet(line) for line in report.failures), _rows(_facts(report))]),
        *([_gates(report)] if report.gates_shown else []),
        *([_bisection(report.bisection)] if report.bisection else []),
    ]
    return "\n\n".join(sections)


def _facts(report: ComparisonReport) -> list[tuple[str, str]]:
    return [
        ("reference", _side(report.reference)),
        ("candidate", _side(report.candidate)),
        ("outputs", _outputs(report.validation)),
        ("bound", report.validation.rule),
        *([("gates", _gate_count(report))] if report.gates_shown else []),
        *(("power", line) for line in power_lines(report.validation)),
        *([("layers", _layers(report.layers))] if report.layers else []),
        *_samples(report.accuracy),
        *(("note", note) for note in report.notes),
        ("time", f"{report.seconds:.1f} s"),
    ]


def _gate_count(report: ComparisonReport) -> str:
    within = sum(check.passed for check in report.gates)
    return f"{within} of {len(report.gates)} within their bound"


def _side(side: Side) -> str:
    takes = "; ".join(map(str, side.inputs)).replace(" ", _TIED)
    return f"{side.precision}, {side.runner}, takes {takes}"


def _outputs(validation: ValidationReport) -> str:
    worst = validation.worst
    cases = len({result.case for result in validation.results})
    if worst.reason:
        return f"{cases} cases: {worst.output} of '{worst.case}': {worst.reason}"
    return (
        f"{cases} cases: worst difference {worst.max_rel:.1e} of the largest value "
        f"(allowed {worst.allowed:.1e}), {worst.output} of '{worst.case}'"
        + (f", {worst.where}" if worst.where else "")
    )


def _layers(layers: Sequence[LayerCheck]) -> str:
    within = sum(check.passed for check in layers)
    worst = max((c.error_ulps for c in layers if c.error_ulps == c.error_ulps), default=0.0)
    return f"{within} of {len(layers)} within their bound, at most {worst:.2g} units of rounding"


def _samples(found: Accuracy | Detections | None) -> Iterator[tuple[str, str]]:
    """Say what both models made of samples."""
    if isinstance(found, Accuracy):
        yield from _accuracy(found)
    elif found is not None:
        yield from _detections(found)


def _detections(found: Detections) -> Iterator[tuple[str, str]]:
    yield (
        "agreement",
        f"F1 {found.agreement:.2%} of {found.found} detections in {found.samples} samples "
        f"(at least {found.required:.2%})",
    )
    others = (
        f"; the others overlap by {found.mean_iou:.4f}, their scores differ by "
        f"{found.score_difference:.1e} at most"
        if found.mean_iou is not None
        else ""
    )
    yield "detections", f"{found.lost} lost, {found.added} added{others}"
    yield from _precision("", found.reference, found.candidate)
    yield from _precision("mask ", found.reference_masks, found.candidate_masks)


def _precision(
    of: str, reference: MeanPrecision | None, candidate: MeanPrecision | None
) -> Iterator[tuple[str, str]]:
    if reference and candidate:
        for name, label in (("map", "mAP 50-95"), ("map50", "mAP 50")):
            before, after = getattr(reference, name), getattr(candidate, name)
            change = f"{100 * (after - before):+.2f}"
            yield f"{of}{label}", f"{before:.2%} reference, {after:.2%} candidate ({change} points)"


def _accuracy(found: Accuracy) -> Iterator[tuple[str, str]]:
    yield (
        "agreement",
        f"{found.agreement:.2%} of {found.samples} samples (at least {found.required:.2%})",
    )
    if found.reference and found.candidate:
        for name in ("top1", "top5"):
            before, after = getattr(found.reference, name), getattr(found.candidate, name)
            yield name.replace("top", "top-"), f"{before:.2%} reference, {after:.2%} candidate"


def _gates(report: ComparisonReport) -> str:
    if not report.gates:
        return "SimAM gates: none"
    names = ("site", "expected", "candidate", "cosine", "collapsed", "error", "allowed")
    header, *lines = columns([names, *map(_row, report.gates)])
    body = [f"{line}{mark}" for line, mark in zip(lines, _marks(report.gates), strict=True)]
    precision = report.candidate.precision
    unit = "float32" if precision in QUANTISED else precision
    legend = (
        f"  errors in units in the last place of {unit}; collapsed: at 0.6225 and should not be"
    )
    return "\n".join([f"SimAM gates: {len(report.gates)}", header, *body, legend])


def _marks(gates: Sequence[GateCheck]) -> Iterator[str]:
    """Say below a failed site's line what is wrong, once where the next fail alike."""
    before = ""
    for check in gates:
        what = "" if check.passed else check.reason or "beyond its bound"
        yield f"\n{_bullet(what)}" if what and what != before else ""
        before = what


def _row(check: GateCheck) -> tuple[str, ...]:
    return (
        check.name,
        _span(check.expected),
        _span(check.gate),
        _number(check.cosine, ".5f"),
        _number(check.collapsed, ".1%"),
        _number(check.error_ulps, ".3g"),
        f"{check.allowed_ulps:.3g}",
    )


def _span(limits: tuple[float, float]) -> str:
    return "-" if limits[0] != limits[0] else f"{limits[0]:.4f} .. {limits[1]:.4f}"


def _number(value: float, form: str) -> str:
    return "-" if value != value else format(value, form)


def _bisection(found: Bisection) -> str:
    trials = f"{found.trials} conversions tried"
    if found.reason:
        return f"bisection: {one_line(found.reason)} ({trials})"
    if not found.kept:
        head = "bisection: a fresh conversion of the reference passes with no node kept"
        return f"{head}: convert it anew ({trials})"
    shown = "" if found.minimal else "; there may be fewer, the trials ran out"
    lines = [
        f"bisection: {len(found.kept)} of {found.of} nodes must stay float32 ({trials}{shown})"
    ]
    lines += [f"  {one_line(name)}" for name in found.kept[:_KEPT]]
    if len(found.kept) > _KEPT:
        lines.append(f"  and {len(found.kept) - _KEPT} more")
    return "\n".join([*lines, *([f"written: {one_line(found.written)}"] if found.written else [])])


def _rows(facts: Sequence[tuple[str, str]]) -> str:
    """Align labels and values, the values wrapped."""
    width = max(len(label) for label, _ in facts)
    gap = f"\n{' ' * (width + 4)}"
    rows = ((label, wrapped(value, width + 4)) for label, value in facts)
    text = "\n".join(f"  {label:{width}}  {gap.join(lines)}" for label, lines in rows)
    return text.replace(_TIED, " ")


def _bullet(text: str) -> str:
    return textwrap.fill(
        f"! {text}",
        room(),
        initial_indent=_INDENT,
        subsequent_indent=f"{_INDENT}  ",
        break_on_hyphens=False,
    )

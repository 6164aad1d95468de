"""The tables of `simam inspect`."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from simam_deploy.core.inspection import InspectReport, LintFinding, RangeFinding, Shape, SiteFacts
from simam_deploy.core.onnx_metadata import split_metadata
from simam_deploy.core.specs import TensorSpec
from simam_deploy.report.columns import columns, short, size_text, wrapped
from simam_deploy.report.terminal import one_line, room

_PLACES = 3
_TIED = "\N{NO-BREAK SPACE}"
_INDENT = " " * 6
_LONGEST_SYMBOL = 10
_LEGEND = """  fp16 to std: on planes of a larger standard deviation a naive fp16 sum of d^2
  overflows, and the gate collapses to 0.6225"""


def inspect_table(report: InspectReport) -> str:
    """Lay out a report: the file, its sites, near misses, and lint."""
    if report.engine:
        return _engine(report)
    misses = [(m.name, _shape(m.shape), m.reason) for m in report.near_misses]
    notes = _notes(report)
    sections = [
        f"{one_line(str(report.path))}\n{_rows(_facts(report))}",
        *([f"as exported by simam-deploy\n{_rows(notes)}"] if notes else []),
        _section("SimAM sites", len(report.sites), _sites(report.sites)),
        _section("near misses", len(misses), "\n".join(_near_misses(misses))),
        *([_ranges(report.ranges)] if report.ranges else []),
        _section("lint", len(report.lint), "\n".join(map(_lint, report.lint))),
    ]
    return "\n\n".join(sections)


def _engine(report: InspectReport) -> str:
    """Lay out an engine in an .onnx: what it is, and what the file says of its plan."""
    facts = [("engine", "in an EPContext node: its graph cannot be read"), *_facts(report)]
    plan = [(key.replace("_", " "), one_line(_plain(v))) for key, v in report.engine.items()]
    notes = _notes(report)
    return "\n\n".join(
        [
            f"{one_line(str(report.path))}\n{_rows(facts)}",
            f"the engine\n{_rows(plan)}",
            *([f"as built by simam-deploy\n{_rows(notes)}"] if notes else []),
        ]
    )


def _facts(report: InspectReport) -> list[tuple[str, str]]:
    domains = [f"{domain} {v}" for domain, v in sorted(report.opsets.items()) if domain]
    opset = f"{report.opsets['']} (IR version {report.ir_version})"
    ops = ", ".join(f"{name}{_TIED}{count}" for name, count in report.ops.items())
    others = sorted(split_metadata(report.metadata)[1].items())
    facts = [
        ("opset", ", ".join([opset, *domains])),
        ("producer", report.producer),
        ("size", _size(report)),
        *(("input", _spec(spec)) for spec in report.inputs),
        *(("output", _spec(spec)) for spec in report.outputs),
        ("nodes", f"{sum(report.ops.values())}: {ops}"),
        ("functions", ", ".join(report.functions)),
        ("metadata", "; ".join(f"{key} = {textwrap.shorten(v, 60)}" for key, v in others)),
    ]
    return [(label, value) for label, value in facts if value]


def _notes(report: InspectReport) -> list[tuple[str, str]]:
    """Read the facts that `simam-export` left in the file."""
    facts, _ = split_metadata(report.metadata)
    return [(key.replace("_", " "), _plain(value)) for key, value in sorted(facts.items())]


def _size(report: InspectReport) -> str:
    parts = [f"{size_text(size)} in {name}" for name, size in report.external.items()]
    return " + ".join([size_text(report.size), *parts])


def _rows(facts: Sequence[tuple[str, str]]) -> str:
    """Align labels and values, the values wrapped."""
    width = max(len(label) for label, _ in facts)
    rows = [(label, wrapped(value, width + 4)) for label, value in facts]
    gap = f"\n{' ' * (width + 4)}"
    text = "\n".join(f"  {label:{width}}  {gap.join(lines)}" for label, lines in rows)
    return text.replace(_TIED, " ")


def _plain(value: Any) -> str:
    """Render what the manifest keeps as JSON: `a 1, b 2` for an object."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        nested = any(isinstance(item, (dict, list)) for item in value)
        separator = " x " if all(isinstance(item, int) for item in value) else " / "
        return f"{len(value)}" if nested else separator.join(map(str, value)) or "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _section(title: str, count: int, body: str) -> str:
    return f"{title}: {count}\n{body}" if count else f"{title}: none"


def _sites(sites: Sequence[SiteFacts]) -> str:
    names = ("name", "shape", "lambda", "written as", "epilogue", "fp16 to std")
    header, *lines = columns([names, *map(_row, sites)])
    hazards = [
        "".join(f"\n{_INDENT}! {one_line(hazard)}" for hazard in site.hazards) for site in sites
    ]
    legend = [_LEGEND] if any(site.fp16_std is not None for site in sites) else []
    return "\n".join([header, *map("".join, zip(lines, hazards, strict=True)), *legend])


def _row(site: SiteFacts) -> tuple[str, ...]:
    return (
        site.name,
        _shape(site.shape) + ("" if site.dtype == "float32" else f" {site.dtype}"),
        f"{site.e_lambda:g}",
        site.written_as,
        " + ".join(site.epilogue) or "-",
        "-" if site.fp16_std is None else f"{site.fp16_std:.3g}",
    )


def _ranges(findings: Sequence[RangeFinding]) -> str:
    """Show what each site has room for, and what it was seen to need."""
    names = ("name", "pixels", "std limit", "std seen", "|x - mean| seen", "margin", "computed in")
    table = columns([names, *map(_range, findings)])
    lines = [table[0]]
    for line, finding in zip(table[1:], findings, strict=True):
        reason = f"\n{_INDENT}{'!' if finding.level == 'error' else '-'} {one_line(finding.reason)}"
        lines.append(line + (reason if finding.reason else ""))
    counts = Counter(finding.level for finding in findings)
    said = ", ".join(f"{counts[level]} {level}" for level in ("ok", "warning", "error"))
    return "\n".join([f"range of SimAM in half: {said}", *lines])


def _range(finding: RangeFinding) -> tuple[str, ...]:
    seen, margin = finding.measured, finding.margin
    return (
        finding.name,
        str(finding.pixels or "?"),
        "-" if finding.std_limit is None else f"{finding.std_limit:.3g}",
        "-" if seen is None else f"{seen.std:.3g}",
        "-" if seen is None else f"{seen.deviation:.3g}",
        "-" if margin is None else f"{margin:.3g}x",
        "float32" if finding.island else "half",
    )


def _near_misses(misses: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    places = columns([(name, shape) for name, shape, _ in misses]) if misses else []
    indent = max(map(len, places), default=0) + 2
    for place, (_, _, reason) in zip(places, misses, strict=True):
        lines = wrapped(reason, indent) or [""]
        yield place.ljust(indent) + f"\n{' ' * indent}".join(lines)


def _lint(finding: LintFinding) -> str:
    places = ", ".join(short(place, room() // 3) for place in finding.places[:_PLACES])
    more = len(finding.places) - _PLACES
    where = f"at {places}{f' and {more} more' if more > 0 else ''}"
    head = f"  {finding.rule} ({len(finding.places)})"
    return "\n".join([head, *(_paragraph(text) for text in (finding.message, where))])


def _paragraph(text: str) -> str:
    return textwrap.fill(
        text, room(), initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
    )


def _spec(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} {_shape(spec.shape)}"


def _shape(shape: Shape | None) -> str:
    """Render as `n x 16 x h x w`; an expression of symbols, which may be long, as `?`."""
    texts = ["?" if dim is None else str(dim) for dim in shape or ()]
    return " x ".join(text if len(text) <= _LONGEST_SYMBOL else "?" for text in texts) or "?"

"""The tables of `simam inspect`, for a terminal 100 columns wide."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from simam_deploy.inspect_report import InspectReport, LintFinding, Shape, SiteFacts
from simam_deploy.report.text import rows

WIDTH = 100
_NAME = 30
_LABEL = 14
_PLACES = 3


def inspect_table(report: InspectReport) -> str:
    """Lay out a report: the file, its sites, near misses, and lint."""
    sections = [
        f"{report.path}\n{rows(_facts(report))}",
        _section("SimAM sites", len(report.sites), _sites(report.sites)),
        _section("near misses", len(report.near_misses), _near_misses(report)),
        _section("lint", len(report.lint), "\n".join(map(_lint, report.lint))),
    ]
    return "\n\n".join(sections)


def _facts(report: InspectReport) -> list[tuple[str, str]]:
    domains = [f"{domain} {v}" for domain, v in sorted(report.opsets.items()) if domain]
    opset = f"{report.opsets['']} (IR version {report.ir_version})"
    ops = ", ".join(f"{name} {count}" for name, count in report.ops.items())
    return [
        ("opset", ", ".join([opset, *domains])),
        ("producer", report.producer),
        ("size", _size(report)),
        *(("input", str(spec)) for spec in report.inputs),
        *(("output", str(spec)) for spec in report.outputs),
        ("nodes", _wrapped(f"{sum(report.ops.values())}: {ops}")),
        *([("functions", _wrapped(", ".join(report.functions)))] if report.functions else []),
        *((key.removeprefix("simam."), _wrapped(_readable(value)))
          for key, value in sorted(report.metadata.items()) if key.startswith("simam.")),
        *([("metadata", _wrapped(others))] if (others := _other_metadata(report)) else []),
    ]  # fmt: skip


def _size(report: InspectReport) -> str:
    parts = [f"{size / 1e6:.1f} MB in {name}" for name, size in report.external.items()]
    return " + ".join([f"{report.size / 1e6:.1f} MB", *parts])


def _other_metadata(report: InspectReport) -> str:
    others = sorted((k, v) for k, v in report.metadata.items() if not k.startswith("simam."))
    return "; ".join(f"{key} = {textwrap.shorten(value, 60)}" for key, value in others)


def _readable(value: str) -> str:
    """Render what the manifest keeps as JSON: `a 1, b 2` for an object."""
    try:
        return _plain(json.loads(value))
    except ValueError:
        return value


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        nested = any(isinstance(item, (dict, list)) for item in value)
        return f"{len(value)}" if nested else " x ".join(map(str, value)) or "none"
    return str(value)


def _section(title: str, count: int, body: str) -> str:
    return f"{title}: {count}\n{body}" if count else f"{title}: none"


def _sites(sites: Sequence[SiteFacts]) -> str:
    table = [
        ("name", "shape", "lambda", "written as", "epilogue", "fp16 to std"),
        *(_row(site) for site in sites),
    ]
    header, *lines = _columns(table)
    hazards = ["".join(f"\n      ! {hazard}" for hazard in site.hazards) for site in sites]
    return "\n".join([header, *map("".join, zip(lines, hazards, strict=True))])


def _row(site: SiteFacts) -> tuple[str, ...]:
    dtype = "" if site.dtype == "float32" else f" {site.dtype}"
    return (
        _short(site.name),
        _shape(site.shape) + dtype,
        f"{site.e_lambda:g}",
        site.written_as,
        " + ".join(site.epilogue) or "-",
        "-" if site.fp16_std is None else f"{site.fp16_std:.3g}",
    )


def _columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Align the cells of all rows, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    padded = [[cell.ljust(w) for cell, w in zip(row, widths, strict=True)] for row in table]
    return [f"  {'  '.join(row)}".rstrip() for row in padded]


def _near_misses(report: InspectReport) -> str:
    table = [(_short(m.name), _shape(m.shape), m.reason) for m in report.near_misses]
    names, shapes = (max(len(row[i]) for row in table) for i in (0, 1))
    indent = names + shapes + 6
    lines = []
    for name, shape, reason in table:
        first, *rest = textwrap.wrap(reason, max(WIDTH - indent, 30)) or [""]
        lines.append(f"  {name:{names}}  {shape:{shapes}}  {first}")
        lines.extend(" " * indent + line for line in rest)
    return "\n".join(lines)


def _lint(finding: LintFinding) -> str:
    places = ", ".join(_short(place) for place in finding.places[:_PLACES])
    more = len(finding.places) - _PLACES
    where = f"at {places}{f' and {more} more' if more > 0 else ''}"
    head = f"  {finding.rule} ({len(finding.places)}): "
    text = textwrap.fill(finding.message, WIDTH, initial_indent=head, subsequent_indent=" " * 6)
    return (
        f"{text}\n{textwrap.fill(where, WIDTH, initial_indent=' ' * 6, subsequent_indent=' ' * 6)}"
    )


def _shape(shape: Shape | None) -> str:
    return "?" if shape is None else "x".join("?" if dim is None else str(dim) for dim in shape)


def _short(name: str) -> str:
    """Cut a name in its front: modules differ in the back."""
    return name if len(name) <= _NAME else f"...{name[3 - _NAME :]}"


def _wrapped(text: str) -> str:
    """Break a value into lines below one another, as `rows` indents them."""
    lines = textwrap.wrap(text, WIDTH - _LABEL - 4) or [""]
    return f"\n{' ' * (_LABEL + 4)}".join(lines)

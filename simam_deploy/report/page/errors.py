"""The section that says how far off the artifact is, of how much allowed, and what that proves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from simam_deploy.core.validation import GateCheck
from simam_deploy.pipeline.gathered import Gathered, Variant
from simam_deploy.report.page.gate_rows import gate_rows
from simam_deploy.report.page.html import Child, figure, section, table, tag
from simam_deploy.report.power_text import ADVICE

_DECADES = 5
"""Of the scale of what a fault would have shown."""


def errors(of: Gathered) -> Markup | None:
    """Show errors against their bounds; None where nothing is known of any."""
    parts = [_outputs(of), _sites(of), _others(of), _power(of.validation)]
    if not any(parts):
        return None
    return section("errors", "Error against bound", parts)


def _outputs(of: Gathered) -> Child:
    """Show every output at the slice of it that is nearest its bound."""
    said = of.validation
    if not said:
        return None
    against = said.get("reference") or "its source"
    when = "compared just now" if of.compared else "as proved when it was made"
    judged = f"{said.get('cases', '?')} cases against {against}, {when}."
    rule = f"Bound: {said['rule']}." if said.get("rule") else ""
    rows = list(_output_rows(said))
    if not rows:
        reason = str(said.get("reason") or "no figures of single outputs are kept")
        return [tag("h3", "Outputs"), tag("p", f"{judged} {rule}"), tag("p", reason, class_="soft")]
    head = ("output", "error", "allowed", "of the bound", "where")
    caption = (
        "Each output at the row, channel or cell that comes nearest its bound: the largest "
        "difference there, relative to the largest value there."
    )
    return [
        tag("h3", "Outputs"),
        tag("p", f"{judged} {rule}"),
        figure(table(head, rows), caption),
    ]


def _output_rows(said: Mapping[str, Any]) -> Iterator[tuple[Child, ...]]:
    """Give a row an output; a manifest of an earlier version has the worst of all alone."""
    listed = said.get("outputs")
    results = listed if isinstance(listed, list) else [{"output": "the worst", **said}]
    for each in results:
        found = number(each.get("max_rel")) if isinstance(each, dict) else None
        allowed = number(each.get("allowed")) if found is not None else None
        if found is None or allowed is None:
            continue
        places = (str(each.get(key) or "") for key in ("case", "where"))
        yield (
            tag("span", str(each.get("output", "?")), class_="mono"),
            f"{found:.2e}",
            f"{allowed:.2e}",
            meter(found / allowed if allowed else math.inf if found else 0.0),
            ", ".join(filter(None, places)),
        )


def number(value: object) -> float | None:
    """Take a number out of a document that somebody may have edited."""
    return float(value) if isinstance(value, (int, float)) else None


def times(value: float) -> str:
    """Write a factor in two digits, and a large one without an exponent: `7.5`, `27,000`."""
    return f"{float(f'{value:.2g}'):,.0f}" if 100 <= value < 1e7 else f"{value:.2g}"


def meter(share: float) -> Markup:
    """Draw how much of a bound is used, with the figure."""
    kind = "meter over" if share > 1 else "meter"
    bar = tag("span", tag("i", style=f"width: {min(share, 1):.1%}"), class_=kind)
    return (
        bar
        + Markup(" ")
        + tag("span", f"{share:.1%}" if share < 10 else f"{times(share)}\N{MULTIPLICATION SIGN}")
    )


def _sites(of: Gathered) -> Child:
    if not of.gates:
        return None
    precision = of.variants[0].precision
    unit = "fp32" if precision == "int8" else precision
    caption = (
        "Left: what the gates of each site span, by the formula in float64 (wide bar) and in this "
        "file (narrow bar). Right: the largest error over the bound on it, on a logarithmic axis; "
        f"figures are units in the last place of {unit}. Each site is judged by "
        "itself, on the map that the float32 network has there."
    )
    rows = tag("div", gate_rows(of.gates), class_="wide")
    return [tag("h3", "SimAM sites"), figure(rows, caption, "main")]


def _others(of: Gathered) -> Child:
    """Sum up the other precisions, site by site: the error over its bound."""
    others = [v for v in of.variants if v.checks and v.path != of.path]
    if not others:
        return None
    head = ("file", "precision", "sites", "worst site", "error of allowed", "of the bound")
    return [
        tag("h3", "SimAM sites of its other files"),
        table(head, [_other(variant) for variant in others]),
    ]


def _other(variant: Variant) -> tuple[Child, ...]:
    worst = max(variant.checks, key=_share)
    failed = sum(not check.passed for check in variant.checks)
    count = f"{len(variant.checks)}, {failed} failed" if failed else f"{len(variant.checks)}"
    figures = f"{worst.error_ulps:.3g} of {worst.allowed_ulps:.3g}"
    return (
        variant.path.name,
        variant.precision,
        count,
        tag("span", worst.name, class_="mono"),
        worst.reason or figures,
        meter(_share(worst)),
    )


def _share(check: GateCheck) -> float:
    return math.inf if math.isnan(check.error_ulps) else check.error_ulps / check.allowed_ulps


def _power(said: Mapping[str, Any]) -> Child:
    """Show what the comparison would have shown of planted faults."""
    power = said.get("power")
    if not isinstance(power, dict):
        return None
    names = {
        "dropped": f"a SimAM left out, the least visible of {power.get('tried', '?')} tried",
        "e_lambda": "every \N{GREEK SMALL LETTER LAMDA} doubled",
        "score": "a channel or slice of an output off by 5 %",
    }
    rows = [
        _fault(name, power[key]) for key, name in names.items() if isinstance(power.get(key), dict)
    ]
    if not rows:
        return None
    still = power.get("still")
    lost = (
        [tag("p", f"The same whatever the input: {', '.join(map(str, still))}.")] if still else None
    )
    caption = (
        "Faults that were planted, and how far each moves an output, in units of its bound: above "
        "1 the comparison would have refused it. The bars are logarithmic, from 0.1 to 10 000."
    )
    advice = None if said.get("proved") else tag("p", f"NOT PROVED: {ADVICE}.", class_="bad")
    return [
        tag("h3", "What this would have shown of a fault"),
        figure(table(("planted fault", "at", "times the bound", "", ""), rows), caption),
        lost,
        advice,
    ]


def _fault(name: str, seen: Mapping[str, Any]) -> tuple[Child, ...]:
    units = number(seen.get("units"))
    value = math.inf if units is None else units  # JSON has no infinity
    log = math.log10(value * 10) / _DECADES if value > 0.1 else 0.0
    kind = "meter" if value > 1 else "meter over"
    return (
        name,
        tag("span", str(seen.get("where") or ""), class_="mono"),
        "more than a bound of 0" if math.isinf(value) else times(value),
        tag("span", tag("i", style=f"width: {min(log, 1):.1%}"), class_=kind),
        "seen" if value > 1 else tag("span", "not seen", class_="bad"),
    )

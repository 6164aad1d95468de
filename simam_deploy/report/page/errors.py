"""The section that says how far off the artifact is, of how much allowed, and what that proves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from simam_deploy.core.specs import QUANTISED
from simam_deploy.core.validation import CaseResult, GateCheck
from simam_deploy.graph.selection.outputs import BEFORE
from simam_deploy.pipeline.gathered import Gathered, Variant
from simam_deploy.report.page.figures import error, meter, number
from simam_deploy.report.page.gate_rows import gate_rows
from simam_deploy.report.page.html import Child, figure, name, section, table, tag, wrapped
from simam_deploy.report.page.power import power


def errors(of: Gathered) -> Markup | None:
    """Show errors against their bounds; None where nothing is known of any."""
    parts = [_outputs(of), _sites(of), _others(of), power(of.validation)]
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
    rule = f" Bound: {said['rule']}." if said.get("rule") else ""
    rows = list(_rows(results_of(said)))
    head = ("output", "error", "allowed", "of the bound", "where")
    caption = (
        "Each output at the row, channel or cell that comes nearest its bound: the largest "
        "difference there, relative to the largest value there."
    )
    shown = figure(table(head, rows), caption) if rows else tag("p", _unlisted(said))
    return [tag("h3", "Outputs"), tag("p", judged + rule), shown]


def _unlisted(said: Mapping[str, Any]) -> str:
    """Say what is known where single outputs are not listed, as by earlier versions."""
    largest = number(said.get("max_rel"))
    if largest is None:
        return str(said.get("reason") or "No figures of outputs are kept.")
    return (
        f"The largest difference of any output is {error(largest)} of its largest value; single "
        "outputs are not listed."
    )


def results_of(said: Mapping[str, Any]) -> list[CaseResult]:
    """Read the outputs that a validation's summary lists; none of an earlier version's."""
    listed = said.get("outputs")
    each = listed if isinstance(listed, list) else []
    results = (_result(one) for one in each if isinstance(one, dict))
    return [one for one in results if one is not None]


def _result(said: Mapping[str, Any]) -> CaseResult | None:
    """Read what a document says of an output; None where it has no figures."""
    found, allowed = number(said.get("max_rel")), number(said.get("allowed"))
    if found is None or allowed is None:
        return None
    case, output, where = (str(said.get(key) or "") for key in ("case", "output", "where"))
    return CaseResult(case, output, math.nan, found, allowed, where=where)


def _rows(results: list[CaseResult]) -> Iterator[tuple[Child, ...]]:
    """Give a row an output, and one to all that a detector selects from."""
    given = [one for one in results if one.output.startswith(BEFORE)]
    yield from (_row(one, one.output) for one in results if one not in given)
    if given:
        worst = max(given, key=lambda one: one.share)
        yield _row(worst, f"what selections are given, the nearest of {len(given)}")


def _row(of: CaseResult, called: str) -> tuple[Child, ...]:
    where = ", ".join(filter(None, (of.case, of.where)))
    return name(called), error(of.max_rel), error(of.allowed), meter(of.share), wrapped(where)


def _sites(of: Gathered) -> Child:
    if not of.gates:
        return None
    unit = "fp32" if of.precision in QUANTISED else of.precision
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
        name(worst.name),
        worst.reason or figures,
        meter(_share(worst)),
    )


def _share(check: GateCheck) -> float:
    return math.inf if math.isnan(check.error_ulps) else check.error_ulps / check.allowed_ulps

"""The head of the page: the verdict, what it is about, and the figures that are asked for first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from markupsafe import Markup

from simam_deploy.core.caveats import caveats
from simam_deploy.pipeline.gathered import Gathered
from simam_deploy.report.columns import size_text
from simam_deploy.report.page.errors import results_of
from simam_deploy.report.page.figures import number, times
from simam_deploy.report.page.html import tag

_LONG = 40
"""Letters of where lambda comes from; the manifest has it all."""

Tile = tuple[str, str]
"""A figure, and what it is."""


def header(of: Gathered) -> Markup:
    """Sum up the artifact."""
    word, kind = verdict(of)
    what = ", ".join(filter(None, (of.facts.get("arch"), _made_by(of))))
    tiles = (tag("li", tag("b", value), tag("span", label)) for value, label in _tiles(of))
    said = caveats({**of.facts, "validation": of.validation})
    return tag(
        "header",
        tag(
            "div",
            tag("h1", of.path.name),
            tag("span", word, class_=f"verdict {kind}"),
            class_="title",
        ),
        tag("p", what) if what else None,
        tag("p", "sha256 ", tag("span", of.sha256, class_="mono"), class_="soft"),
        (tag("p", line, class_="said") for line in said),
        tag("ul", tiles, class_="tiles"),
        class_="top",
    )


def verdict(of: Gathered) -> tuple[str, str]:
    """Give the verdict in words, and the class of its colour."""
    said = of.validation
    if said.get("passed") is False:
        return "FAILED validation", "bad"
    if said.get("passed") is not True:
        return "not validated", "warn"
    return ("validated", "good") if said.get("proved") is not False else ("NOT PROVED", "warn")


def _made_by(of: Gathered) -> str:
    source = of.facts.get("source")
    made = source.get("file") if isinstance(source, dict) else None
    return f"made of {made}" if made else "no manifest of ours beside it" if not of.facts else ""


def _tiles(of: Gathered) -> Iterator[Tile]:
    yield of.precision, "precision"
    yield size_text(of.size), "on disk"
    sites = _count(of)
    if sites is not None:
        yield f"{sites}", "SimAM sites" if sites != 1 else "SimAM site"
    yield from _lambda(of)
    yield from _worst(of)
    yield from _gates(of)
    yield from _fault(of)
    yield from _speed(of)


def _count(of: Gathered) -> int | None:
    if of.drawing is not None:
        return len(of.drawing.inspection.sites)
    return len(of.facts["simam_sites"]) if "simam_sites" in of.facts else None


def _lambda(of: Gathered) -> Iterator[Tile]:
    seen = of.drawing.inspection.sites if of.drawing else ()
    values = sorted({site.e_lambda for site in seen})
    if values:
        several = f"{values[0]:g} to {values[-1]:g}"
        source = of.facts.get("e_lambda_source") or "read from the graph"
        said = textwrap.shorten(source, _LONG, placeholder=" \N{HORIZONTAL ELLIPSIS}")
        yield f"{values[0]:g}" if len(values) == 1 else several, f"lambda: {said}"


def _worst(of: Gathered) -> Iterator[Tile]:
    worst = max(results_of(of.validation), key=lambda one: one.share, default=None)
    if worst is not None:
        yield f"{worst.max_rel:.1e}", f"nearest output error, of {worst.allowed:.0e} allowed"


def _gates(of: Gathered) -> Iterator[Tile]:
    judged = [check for check in of.gates if check.error_ulps == check.error_ulps]
    if judged:
        worst = max(judged, key=lambda check: check.error_ulps / check.allowed_ulps)
        yield f"{worst.error_ulps:.2f}", f"worst gate, units of {worst.allowed_ulps:.3g} allowed"


def _fault(of: Gathered) -> Iterator[Tile]:
    power = of.validation.get("power")
    seen = power.get("dropped") if isinstance(power, dict) else None
    units = number(seen.get("units")) if isinstance(seen, dict) else None
    if units is not None:
        yield f"{times(units)}\N{MULTIPLICATION SIGN}", "the bound, were a SimAM left out"


def _speed(of: Gathered) -> Iterator[Tile]:
    """Give the latency of this very file, where a benchmark was given that has it."""
    rows = of.bench.subjects if of.bench else ()
    own = (row for row in rows if row.file == of.path.name and row.batches)
    for row in own:
        first = row.batches[0]
        if first.times is not None:
            yield f"{first.times.p50_ms:.3g} ms", f"median at batch {first.batch}, {row.how}"
            return

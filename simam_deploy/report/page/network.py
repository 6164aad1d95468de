"""The section that shows the network: its drawing, its sites, what is wrong with its graph."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from simam_deploy.core.inspection import InspectReport, SiteFacts
from simam_deploy.pipeline.gathered import Gathered
from simam_deploy.report.page.html import Child, figure, name, section, table, tag, wrapped
from simam_deploy.report.page.outline import outline_drawing
from simam_deploy.report.page.shapes import shape_of

_CAPTION = (
    "From input to output. A box is a block: the layers that lead to a SimAM site, the site, and "
    "what follows it, as far as a skip is added or the next layer begins; blocks of one kind in a "
    "row are drawn once. Lines at the left go past: within a box its skip, outside of it to a "
    "later block."
)


def network(of: Gathered) -> Markup | None:
    """Show the network; None of a plan whose graph is not there."""
    if of.drawing is None:
        return None
    seen = of.drawing.inspection
    own = (
        "" if seen.path == of.path else f" Drawn is {seen.path.name}, which the plan was built of."
    )
    drawing = outline_drawing(of.drawing.outline, seen.inputs, seen.outputs)
    beside = tag("div", _sites(seen), _misses(seen), _lint(seen))
    return section(
        "network",
        "Network",
        tag("div", figure(drawing, _CAPTION + own), beside, class_="two"),
    )


def _sites(seen: InspectReport) -> Child:
    if not seen.sites:
        return tag("p", "No SimAM was found in this graph.")
    head = ("SimAM site", "map", "\N{GREEK SMALL LETTER LAMDA}", "written as", "followed by")
    rows = [
        (
            name(site.name),
            shape_of(site.shape),
            f"{site.e_lambda:g}",
            site.written_as,
            ", ".join(site.epilogue) or "\N{EN DASH}",
        )
        for site in seen.sites
    ]
    return [table(head, rows), _hazards(seen.sites)]


def _hazards(sites: Iterable[SiteFacts]) -> Child:
    said = [f"{site.name}: {hazard}" for site in sites for hazard in site.hazards]
    return [tag("h3", "Hazards"), tag("ul", (tag("li", line) for line in said))] if said else None


def _misses(seen: InspectReport) -> Child:
    """List what is nearly SimAM."""
    if not seen.near_misses:
        return None
    rows = ((name(m.name), wrapped(m.reason)) for m in seen.near_misses)
    return [tag("h3", "Nearly SimAM, and not"), table(("node", "what differs"), rows)]


def _lint(seen: InspectReport) -> Child:
    if not seen.lint:
        return None
    lines = (tag("li", f"{f.rule} ({len(f.places)}): {f.message}") for f in seen.lint)
    return [tag("h3", "What could be better in the graph"), tag("ul", lines)]

"""The page: its sections in order, each there only where something is known of what it shows."""

from __future__ import annotations

from markupsafe import Markup

from simam_deploy.core.version import __version__
from simam_deploy.pipeline.gathered import Gathered
from simam_deploy.report.page.document import document
from simam_deploy.report.page.engines import engines
from simam_deploy.report.page.errors import errors
from simam_deploy.report.page.facts import manifest, reproduce
from simam_deploy.report.page.gates import gates
from simam_deploy.report.page.header import header
from simam_deploy.report.page.html import tag
from simam_deploy.report.page.looks import looks
from simam_deploy.report.page.network import network
from simam_deploy.report.page.speed import speed

_SECTIONS = {
    "network": ("Network", network),
    "gates": ("Gates", gates),
    "errors": ("Errors", errors),
    "looks": ("Attention", looks),
    "speed": ("Speed", speed),
    "engines": ("Engines", engines),
    "manifest": ("Manifest", manifest),
    "reproduce": ("Reproduce", reproduce),
}
"""By anchor: its name in the list at the top, and what makes it, None where it says nothing."""


def page(of: Gathered) -> str:
    """Make the page of an artifact.

    Returns:
        The document, to be written as UTF-8; it fetches nothing.
    """
    made = {anchor: make(of) for anchor, (_, make) in _SECTIONS.items()}
    there = {anchor: part for anchor, part in made.items() if part is not None}
    return document(
        f"{of.path.name}: report",
        header(of),
        _contents(list(there)),
        tag("main", there.values()),
        tag("footer", tag("p", f"Made by simam-deploy {__version__}. Nothing here is fetched.")),
    )


def _contents(anchors: list[str]) -> Markup:
    links = (tag("a", _SECTIONS[anchor][0], href=f"#{anchor}") for anchor in anchors)
    return tag("nav", tag("ul", (tag("li", link) for link in links)), aria_label="Sections")

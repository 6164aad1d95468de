"""The section that shows the plans that were built of the network."""

from __future__ import annotations

from markupsafe import Markup

from simam_deploy.core.artifacts import EngineArtifact
from simam_deploy.pipeline.gathered import Gathered
from simam_deploy.report.build_text import build_rows
from simam_deploy.report.page.html import pairs, section, tag


def engines(of: Gathered) -> Markup | None:
    """Show every plan; None where there is none."""
    if not of.engines:
        return None
    return section("engines", "Engines", map(_engine, of.engines))


def _engine(artifact: EngineArtifact) -> Markup:
    findings = (tag("p", line, class_="said") for line in artifact.audit.findings)
    return tag("div", tag("h3", artifact.path.name), findings, pairs(build_rows(artifact)))

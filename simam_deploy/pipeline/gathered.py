"""What a report on a model is made of: frozen, and read by `simam_deploy.report.page`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simam_deploy.bench.records import BenchReport
from simam_deploy.core.artifacts import EngineArtifact, Manifest
from simam_deploy.core.inspection import InspectReport
from simam_deploy.core.validation import GateCheck
from simam_deploy.graph.outline import Outline
from simam_deploy.pipeline.views import Views
from simam_deploy.precision.gate_histogram import GateHistogram


@dataclass(frozen=True)
class Variant:
    """A file of the network, in one precision.

    Attributes:
        path: The .onnx.
        precision: Of its graph.
        size: Its bytes, external data included.
        facts: Its manifest; empty where it has none.
        histograms: Of its gates, a site each, where it was run.
        checks: Of each site, on the float32 network's maps.
        reason: Why its gates were not looked at.
    """

    path: Path
    precision: str
    size: int
    facts: Manifest
    histograms: tuple[GateHistogram, ...] = ()
    checks: tuple[GateCheck, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Drawing:
    """A graph, as it is drawn.

    Attributes:
        inspection: What `simam-inspect` says of it.
        outline: Its parts.
    """

    inspection: InspectReport
    outline: Outline


@dataclass(frozen=True)
class Gathered:
    """All that a page says of one artifact.

    Attributes:
        path: The .onnx or plan that it is about.
        sha256: Of that file.
        size: Its bytes, external data included.
        facts: Its manifest; empty where it has none.
        validation: A `ValidationReport.summary`: of a comparison now, else the manifest's.
        compared: What it was held against now, in words; empty where nothing was.
        drawing: Of the artifact, or of the .onnx of a plan; None where that is not there.
        variants: Every .onnx of the network, the artifact first, and what its gates are.
        shown: What the gates were seen on, in words.
        gates: Of the artifact's sites, the worst over all that they were judged on.
        engines: Plans of this network.
        bench: What `simam-bench` found, if that was given.
        views: A picture and where the network looks in it, if one was given.
        command: Makes the page again.
    """

    path: Path
    sha256: str
    size: int
    facts: Manifest
    validation: Manifest
    compared: str
    drawing: Drawing | None
    variants: tuple[Variant, ...]
    shown: str
    gates: tuple[GateCheck, ...]
    engines: tuple[EngineArtifact, ...]
    bench: BenchReport | None
    views: Views | None
    command: str

    @property
    def precision(self) -> str:
        """The artifact's own: of its graph, or as the manifest of a plan says."""
        own = (variant.precision for variant in self.variants if variant.path == self.path)
        return next(own, str(self.facts.get("precision", "?")))

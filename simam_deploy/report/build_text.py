"""What `simam build` prints."""

from __future__ import annotations

from collections.abc import Mapping

from simam_deploy.core.artifacts import ContextArtifact, EngineArtifact, PlanAudit
from simam_deploy.core.specs import Profile, shape_text
from simam_deploy.report.columns import size_text
from simam_deploy.report.terminal import one_line
from simam_deploy.report.text import rows

_SHOWN = 3
"""Warnings in the table; all are in the log."""


def build_table(artifact: EngineArtifact) -> str:
    """Sum up a build: what it is, what was asked, what was found in it."""
    return f"{one_line(str(artifact.path))}\n" + rows(
        [*build_rows(artifact), ("time", _time(artifact))]
    )


def context_table(artifact: ContextArtifact) -> str:
    """Sum up a plan in an .onnx: its files, and the plan."""
    plan, files = artifact.plan, ", ".join(one_line(file.name) for file in artifact.files)
    own = [("provider", artifact.provider), ("files", files)]
    found = [*own, *build_rows(plan), ("time", _time(plan))]
    return f"{one_line(str(artifact.path))}\n" + rows(found)


def build_rows(artifact: EngineArtifact) -> list[tuple[str, str]]:
    """Give what there is to say of a plan, each with what it is; not what making it now took."""
    audit = artifact.audit
    return [
        ("built by", f"{artifact.flavour} {artifact.version}"),
        ("runs on", ", ".join(artifact.targets)),
        ("precision", f"{audit.asked} asked, {_precision(audit)}"),
        ("SimAM", f"{audit.sites} sites, lowered as {artifact.lowering}, {_fused(audit)}"),
        ("launches", f"{_known(audit.launches)}, {_known(audit.plugins)} of them plugins"),
        ("known from", audit.source),
        *(("profile", _profile(profile)) for profile in artifact.profiles),
        *(("input", str(spec)) for spec in artifact.inputs),
        *(("output", str(spec)) for spec in artifact.outputs),
        ("plugin", artifact.plugin or "none"),
        ("validated", _validation(artifact.validation)),
        *_warnings(artifact),
        *(("note", note) for note in artifact.notes),
        ("size", size_text(artifact.size)),
        ("manifest", artifact.manifest_path.name),
    ]


def _precision(audit: PlanAudit) -> str:
    graph = f"the graph has {_counts(audit.graph)}"
    return f"{graph}, the plan {_counts(audit.built)}" if audit.built else f"{graph}, plan unknown"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} products in {name}" for name, count in counts.items()) or "none"


def _fused(audit: PlanAudit) -> str:
    if audit.fused is None:
        return "fusion unknown"
    return f"{audit.fused} in one launch each, {_known(audit.reformats)} reformats around them"


def _known(count: int | None) -> str:
    return "unknown" if count is None else str(count)


def _profile(profile: Profile) -> str:
    """Render as `x 1x3x224x224 / 8x3x224x224 / 32x3x224x224` (min, opt, max)."""
    each = ((r.name, map(shape_text, (r.min, r.opt, r.max))) for r in profile)
    return "; ".join(f"{name} {' / '.join(shapes)}" for name, shapes in each)


def _validation(facts: Mapping[str, object]) -> str:
    if facts["passed"] is None:
        return str(facts["reason"])
    return (
        f"{facts['cases']} cases against {facts['reference']}: worst difference "
        f"{facts['max_rel']:.1e} of the largest output (allowed {facts['allowed']:.0e})"
    )


def _warnings(artifact: EngineArtifact) -> list[tuple[str, str]]:
    shown = [("warning", text) for text in artifact.warnings[:_SHOWN]]
    more = len(artifact.warnings) - len(shown)
    return [*shown, *([("warning", f"and {more} more in the log")] if more else [])]


def _time(artifact: EngineArtifact) -> str:
    if artifact.cached:
        return f"{artifact.seconds:.1f} s, from the cache"
    return (
        f"{artifact.seconds:.1f} s, {artifact.build_seconds:.1f} s of it in TensorRT with "
        f"{artifact.peak_memory / 1e6:.0f} MB at most"
    )

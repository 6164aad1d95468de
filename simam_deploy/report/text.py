"""Plain tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simam_deploy.core.artifacts import OnnxArtifact
from simam_deploy.core.specs import QUANTISED, SimamSite
from simam_deploy.models.attention.kinds import KINDS
from simam_deploy.models.detectors.identity import TITLES
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.report.columns import size_text
from simam_deploy.report.power_text import power_lines, verdict_word
from simam_deploy.report.terminal import one_line
from simam_deploy.verify.report import describe_failure


def rows(pairs: Sequence[tuple[str, str]]) -> str:
    """Align labels and values in two columns."""
    width = max(len(label) for label, _ in pairs)
    return "\n".join(f"  {label:{width}}  {one_line(value)}" for label, value in pairs)


def export_table(artifact: OnnxArtifact) -> str:
    """Sum up an export: what it is, what was assumed, how far it is off."""
    v = artifact.validation.summary()
    outputs = "; ".join(map(str, artifact.outputs))
    return f"{one_line(str(artifact.path))}\n" + rows(
        [
            ("network", artifact.arch),
            ("SimAM sites", f"{len(artifact.sites)}: {_names(artifact.sites)}"),
            ("lambda", _lambda(artifact)),
            ("lowered as", artifact.lowering),
            ("precision", artifact.precision),
            ("input", "; ".join(map(str, artifact.inputs))),
            ("output", outputs),
            ("opset", str(artifact.opset)),
            ("size", size_text(artifact.size)),
            (
                _verdict(artifact),
                f"{v['cases']} cases against {v['reference']}: worst difference "
                f"{artifact.validation.worst.max_rel:.1e} of the largest value there "
                f"(allowed {v['allowed']:.0e})",
            ),
            *_local(v),
            *(("power", line) for line in power_lines(artifact.validation)),
            ("manifest", artifact.manifest_path.name),
            *_failure(artifact),
            *(("note", note) for note in (*artifact.notes, *artifact.validation.notes)),
            ("time", f"{artifact.seconds:.1f} s"),
        ]
    )


def _verdict(artifact: OnnxArtifact) -> str:
    if not artifact.validation.passed:
        return "FAILED, kept"
    return verdict_word(artifact.validation, "validated")


def _failure(artifact: OnnxArtifact) -> list[tuple[str, str]]:
    report = artifact.validation
    return [] if report.passed else [("failed", describe_failure(report))]


def _local(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Sum up what was judged gate by gate and layer by layer, where a precision was changed."""
    judged = [what for what in ("gates", "layers") if what in summary]
    tensors = summary["precision"] in QUANTISED
    return [
        ("tensors" if tensors and what == "layers" else what, _units(summary[what]))
        for what in judged
    ]


def _units(each: dict[str, Any]) -> str:
    return (
        f"{each['count']} by themselves: worst {each['worst_ulps']:.2f} units of rounding "
        f"(allowed {each['allowed_ulps']:.3g})"
    )


def _names(sites: Sequence[SimamSite]) -> str:
    """List the first and last sites, with their lambda where they differ."""
    if not sites:
        return "no gate was judged"
    differ = len({site.e_lambda for site in sites}) > 1
    names = [f"{s.name} ({s.e_lambda:g})" if differ else s.name for s in sites]
    return ", ".join(names if len(names) <= 4 else [*names[:2], "...", names[-1]])


def _lambda(artifact: OnnxArtifact) -> str:
    value = "" if artifact.e_lambda is None else f"{artifact.e_lambda:g} "
    return f"{value}({artifact.e_lambda_source})"


def network_table() -> str:
    """List the known networks with what is published of them."""
    lines = [f"{'network':34} {'lambda':>7}  {'input':16} from"]
    for network in NETWORKS.values():
        family = network.family
        shape = "x".join(map(str, ("N", *family.input_shape)))
        lines.append(f"{network.name:34} {family.e_lambda:7g}  {shape:16} {family.title}")
    kinds = " and ".join(f"{kind}_NAME" for kind in TITLES)
    lines.append(f"{kinds}, of each NAME_backbone: detectors, whole")
    others = [kind.title for kind in KINDS.values() if kind.sign]
    lines.append(f"all but wespeaker_*: also with {', '.join(others)} in SimAM's stead, or without")
    return "\n".join(lines)

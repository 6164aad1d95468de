"""Whose error it is that the outputs show, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.validation import ValidationReport
from simam_deploy.verify.cases import Case
from simam_deploy.verify.outputs import Recording, compare
from simam_deploy.verify.rule import Rule
from simam_deploy.verify.spread import Behaviour

GRAPH = (
    "the float32 graph made of the source differs from it already, before anything was converted "
    "or lowered: the tracing is wrong, or the source's own rounding is larger than told"
)


def blame(
    report: ValidationReport,
    recording: Recording,
    rule: Rule,
    behaviour: Behaviour,
    graph: Mapping[Case, Feeds],
) -> str:
    """Tell, where the outputs failed, whether the reference's own graph fails alike.

    Args:
        report: Of the candidate.
        recording: The reference.
        rule: What bounds the candidate.
        behaviour: Of the reference's graph.
        graph: That graph's outputs.

    Returns:
        A line; nothing where the outputs passed.
    """
    if report.outputs_passed:
        return ""
    own = compare(recording, rule, behaviour, graph, "the graph")
    if not own.passed:
        return GRAPH
    return (
        "the float32 graph made of the source agrees with it (within "
        f"{own.worst.share:.0%} of the bound): the error is the candidate's own"
    )

"""What comes out of both models, case by case."""

from __future__ import annotations

from collections.abc import Iterator

from simam_deploy.core.validation import ValidationReport
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.types import HALVES
from simam_deploy.precision.half.cost import round_layers
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.protocol import Runner
from simam_deploy.verify.outputs import Recording, compare, record
from simam_deploy.verify.pair import Pair, at_fault, under_names
from simam_deploy.verify.report import Side
from simam_deploy.verify.rule import rule_for


def record_outputs(pair: Pair) -> Recording:
    """Run the reference on every case, and once more as the precision disturbs it."""
    rule = rule_for("fp32", pair.candidate.precision)
    with pair.subject.reference() as reference, _disturbed(pair) as shaken:
        return record(reference, shaken, rule.cases(pair.shapes), rule)


def _disturbed(pair: Pair) -> Runner:
    """Open the reference as the candidate's precision must disturb it."""
    if pair.candidate.dtype not in HALVES:
        return pair.subject.shaken()
    graph = typed(pair.original())
    round_layers(graph, pair.candidate.dtype)
    return run_graph(graph)


def compare_outputs(pair: Pair, recording: Recording) -> tuple[ValidationReport, Side, list[str]]:
    """Hold the outputs against the recorded ones.

    Raises:
        ValidationError: The candidate cannot be run.
    """
    candidate = pair.candidate
    with candidate.runner() as runner, at_fault(candidate.path):
        named = under_names(runner, pair.inputs, pair.outputs)
        validation = compare(recording, named)
        outputs = tuple(spec.name for spec in runner.outputs)
    side = Side(candidate.path.name, runner.name, candidate.precision, candidate.inputs, outputs)
    return validation, side, list(_remarks(pair, side))


def _remarks(pair: Pair, side: Side) -> Iterator[str]:
    """Say what was matched by position, cast, or left out."""
    for kind, theirs, own in (
        ("inputs", [s.name for s in pair.inputs], [s.name for s in side.inputs]),
        ("outputs", list(pair.outputs), list(side.outputs)),
    ):
        if not set(theirs) <= set(own):
            yield f"{kind} matched by position: {', '.join(theirs)} against {', '.join(own)}"
    if len(side.outputs) > len(pair.outputs):
        yield f"the candidate has {len(side.outputs) - len(pair.outputs)} more outputs"
    for spec in side.inputs:
        if spec.dtype in ("float16", "bfloat16"):
            yield f"input {spec.name} is {spec.dtype}: the float32 inputs were rounded to it"

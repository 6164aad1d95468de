"""The one judge: an export, a validation and an engine hold a candidate against its reference here.

outputs   slice by slice, within what rounding makes of this network (`verify.rule`)
float32   of a conversion: the same network's own float32 graph first, by float32's rule, so
that a fault of ours cannot stand in for the truth
gates     every SimAM of the source by itself, against the formula (`verify.gates`)
layers    of half precision: every layer by itself (`verify.layers`)
power     what the outputs would have shown of planted faults (`verify.power`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import onnx_ir as ir

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.progress import Progress
from simam_deploy.core.validation import CaseResult, Power, ValidationReport
from simam_deploy.graph.passes.resum import resum
from simam_deploy.graph.selection.outputs import BEFORE, before_selection, with_pointed
from simam_deploy.graph.types import EPSILON, FLOAT_TYPES, HALF_TYPES
from simam_deploy.precision.disturb import disturb, draw_alike
from simam_deploy.precision.half.overflow import find_overflow
from simam_deploy.precision.original import Original
from simam_deploy.precision.rounding import rounded
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.protocol import Runner
from simam_deploy.verify.blame import GRAPH, blame
from simam_deploy.verify.cases import Case
from simam_deploy.verify.inside import look_inside
from simam_deploy.verify.layout import layout_of
from simam_deploy.verify.operators import by_operators
from simam_deploy.verify.outputs import Recording, compare, judge_of, moved, run_cases
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.power import measure_power
from simam_deploy.verify.remarks import remarks
from simam_deploy.verify.rule import Rule, rule_for
from simam_deploy.verify.spread import Behaviour, measure_spread

_NOTED = 1e-6
"""Of an output's largest value: what a reader is told of."""
_HALF_NOISE = 0.125
"""Of the half type's eps, added to the rounding itself, so that every run rounds otherwise."""


def judge(
    pair: Pair,
    recording: Recording,
    precision: str,
    progress: Progress,
    given: float | None = None,
) -> ValidationReport:
    """Hold a candidate against what was recorded of its reference.

    Args:
        pair: Both.
        recording: Of the reference itself, on the cases of `rule_for(precision, ...)`.
        precision: The reference's.
        progress: Told each step.
        given: A bound on the outputs that a user gave.

    Raises:
        ValidationError: The candidate cannot be run.
    """
    progress("computing what rounding costs")
    own = pair.candidate.precision
    graph = run_cases_of(looked_into(pair.original), recording)
    if precision != own:
        proof = _prove_float32(pair, recording, graph, given)
        if not proof.passed:
            return replace(proof, whose=GRAPH)
    rule = rule_for(precision, own, given)
    behaviour = behaviour_of(looked_into(pair.original), graph, precision, own)
    progress("comparing outputs")
    report = _compare(pair, recording, rule, behaviour)
    if pair.candidate.graph is not None:
        report = _overflow_named(pair, pair.candidate.graph, recording, report)
        progress("checking gates and layers")
        before = _compare_before(pair, pair.candidate.graph, rule, behaviour)
        report = replace(report, results=(*report.results, *before))
        report = look_inside(pair, pair.candidate.graph, recording, report, precision != own)
    report = replace(report, whose=blame(report, recording, rule, behaviour, graph))
    progress("measuring what a fault would have shown")
    power = measure_power(
        pair.original.read(), recording, lambda case: judge_of(recording, rule, behaviour, case)
    )
    return replace(
        report, power=power, notes=(*report.notes, *remarks(recording, behaviour.layout))
    )


def _overflow_named(
    pair: Pair, graph: Callable[[], ir.Model], recording: Recording, report: ValidationReport
) -> ValidationReport:
    """Name the node of a half candidate that overflows, where an output is not finite."""
    broken = next((r for r in report.results if "NaN or infinite" in r.reason), None)
    if broken is None or pair.candidate.precision not in HALF_TYPES:
        return report
    case = next(case for case in recording.cases if broken.case.startswith(case.name))
    where = find_overflow(graph(), pair.own_names(case.feeds(pair.inputs)))
    named = replace(broken, reason=f"{broken.reason}{': ' if where else ''}{where}")
    results = tuple(named if r is broken else r for r in report.results)
    return replace(report, results=results)


def looked_into(original: Original) -> ir.Model:
    """Read a reference's graph, with what its selections are given and its indices point to."""
    return before_selection(with_pointed(original.plain()))


def _compare_before(
    pair: Pair, candidate: Callable[[], ir.Model], rule: Rule, behaviour: Behaviour
) -> tuple[CaseResult, ...]:
    """Compare what selections are given, where there are any: it has no order to lose."""
    given = {
        case: {n: a for n, a in outputs.items() if n.startswith(BEFORE) and a.size}
        for case, outputs in behaviour.outputs.items()
    }
    if not any(given.values()):
        return ()
    recording = Recording("", given, dict.fromkeys((case.name for case in given), frozenset()))
    with pair.renamed(run_graph(resum(rounded(before_selection(candidate())))[0])) as runner:
        got = run_cases(runner, recording.cases)
    return compare(recording, rule, behaviour, got, "").results


def float32_power(pair: Pair, recording: Recording) -> Power:
    """Tell what the comparison of a source with its float32 graph would have shown of faults."""
    rule = rule_for("fp32", "fp32")
    graph = run_cases_of(looked_into(pair.original), recording)
    behaviour = behaviour_of(looked_into(pair.original), graph, "fp32", "fp32")
    return measure_power(
        pair.original.read(), recording, lambda case: judge_of(recording, rule, behaviour, case)
    )


def run_cases_of(model: ir.Model, recording: Recording) -> Mapping[Case, Feeds]:
    """Run a graph of plain ops, which is used up, on every recorded case."""
    with run_graph(resum(rounded(model))[0]) as runner:
        return run_cases(runner, recording.cases)


def behaviour_of(
    model: ir.Model, graph: Mapping[Case, Feeds], reference: str, candidate: str
) -> Behaviour:
    """Tell what rounding makes of a network.

    Args:
        model: The reference's graph, plain ops; it is used up.
        graph: Its outputs.
        reference: Its precision.
        candidate: The precision that it is held against.
    """
    layout = layout_of(model)
    half = HALF_TYPES.get(candidate) if reference != candidate else None
    unit = EPSILON[FLOAT_TYPES[candidate]] * (1.0 if half is None else _HALF_NOISE)
    disturbed = disturb(resum(rounded(model))[0], unit, half)
    each = run_graph(disturbed)
    draw_alike(disturbed)
    alike = run_graph(disturbed)
    with each, alike:
        return Behaviour(graph, measure_spread(graph, (each, alike), layout), layout)


def _own_error(
    pair: Pair, stored: Callable[[], Runner], exact: Mapping[Case, Feeds]
) -> tuple[str, ...]:
    """Say what ONNX Runtime itself is off by, where it adds planes up in one run."""
    worst = 0.0
    with pair.renamed(stored()) as runner:
        for case, outputs in exact.items():
            got = runner.run(case.feeds(runner.inputs))
            worst = max([worst, *(moved(array, got[name]) for name, array in outputs.items())])
    if worst < _NOTED:
        return ()
    count = pair.candidate.long_sums
    return (
        f"ONNX Runtime itself is off by {worst:.1e} on this file, where it sums {count} large "
        "planes in one run each; judged is what the file states",
    )


def _prove_float32(
    pair: Pair, recording: Recording, graph: Mapping[Case, Feeds], given: float | None
) -> ValidationReport:
    """Hold the float32 graph that a conversion starts from against the source."""
    rule = rule_for("fp32", "fp32", given)
    behaviour = behaviour_of(looked_into(pair.original), graph, "fp32", "fp32")
    report = compare(recording, rule, behaviour, graph, "our float32 graph in ONNX Runtime")
    results = (replace(r, case=f"{r.case}, our float32 graph") for r in report.results)
    return replace(report, results=tuple(results))


def _compare(
    pair: Pair, recording: Recording, rule: Rule, behaviour: Behaviour
) -> ValidationReport:
    """Compare outputs, of a float16 file also as ONNX Runtime runs it."""
    with pair.open_candidate() as runner:
        got = run_cases(runner, recording.cases)
        report = compare(recording, rule, behaviour, got, runner.name)
        notes = tuple(pair.matched(runner))
    stored = pair.candidate.as_stored
    if stored is None or pair.candidate.precision == "bf16":  # its CPU has no such convolution
        return replace(report, notes=notes)
    if pair.candidate.precision != "fp16":
        notes += _own_error(pair, stored, got) if pair.candidate.long_sums else ()
        notes += by_operators(pair, recording, rule, behaviour)
        return replace(report, notes=notes)
    with pair.renamed(stored()) as runner:
        own = compare(recording, rule, behaviour, run_cases(runner, recording.cases), runner.name)
    results = (replace(r, case=f"{r.case}, every rounding shown") for r in report.results)
    return replace(own, results=(*own.results, *results), notes=notes)

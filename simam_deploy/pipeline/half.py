"""From a float32 network to a file in a half type, and the proof that the file is right.

Three things are proved, all on the file that was written, with its rounding written out
(`precision.rounding`), since ONNX Runtime's CPU provider hides it:

    gates    every SimAM gate against the formula, on the map the float32 network has there
    layers   every layer against its float32 self, likewise
    outputs  within a small factor (`verify.rule`) of what that precision must cost this network,
             which is told from the float32 graph alone (`precision.half.cost`)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.validation import ValidationReport
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.passes.fuse_epilogue import fuse_epilogue
from simam_deploy.graph.prepare import for_runtime, plain
from simam_deploy.graph.sites import check_sites
from simam_deploy.graph.types import HALF_TYPES
from simam_deploy.pipeline.step import Step, Written, facts_of, workspace
from simam_deploy.precision.half.cost import round_layers
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.original import Original, keep_original
from simam_deploy.precision.rounding import rounded
from simam_deploy.precision.taps import SiteSample, record_sites
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.runtime.protocol import Runner
from simam_deploy.source.subject import Subject
from simam_deploy.verify.cases import Case
from simam_deploy.verify.gates import check_gates
from simam_deploy.verify.layers import LayerMaps, check_layers, record_layers
from simam_deploy.verify.outputs import Recording, compare, record
from simam_deploy.verify.rule import rule_for


@dataclass(frozen=True)
class Reference:
    """What the float32 network does: its outputs, and inside, the maps of its sites and layers."""

    recording: Recording
    feeds: Feeds
    sites: tuple[SiteSample, ...]
    layers: LayerMaps


def record_half(
    original: Original, reference: Runner, cases: tuple[Case, ...], precision: str
) -> Reference:
    """Run the network, and its graph with the rounding that `precision` cannot do without.

    Args:
        original: The graph.
        reference: The network itself.
        cases: The first of kind "normal" is looked into.
        precision: "fp16" or "bf16".
    """
    graph = original.graph()
    round_layers(graph, HALF_TYPES[precision])
    cost = original.file.with_name("cost.onnx")
    write_model(for_runtime(graph, original.opset, simplify=False), cost)
    with OnnxRunner(cost, as_written=True) as shaken:
        recording = record(reference, shaken, cases, rule_for("fp32", precision))
    case = next(case for case in cases if case.kind == "normal")
    feeds = case.feeds(reference.inputs)
    sites = record_sites(original.plain(), feeds)
    return Reference(recording, feeds, sites, record_layers(original.plain(), feeds))


def convert_half(
    original: Original, precision: str, keep_io: bool, lowering: str, simplify: bool, file: Path
) -> tuple[str, ...]:
    """Write the network in a half type.

    Returns:
        What there is to say of it.

    Raises:
        InputError: The graph is half or quantised already.
        UsageError: The opset is too old for bfloat16.
    """
    graph = original.graph()
    if original.fused:
        fuse_epilogue(graph)
    # A node that is kept computes in float32 inside: it needs no Casts around it.
    halved = to_half(graph, HALF_TYPES[precision], keep_io, simam_half=original.fused)
    write_model(for_runtime(graph, original.opset, simplify, lowering), file)
    return halved.notes


def judge_half(
    reference: Reference, original: Original, file: Path, precision: str
) -> ValidationReport:
    """Hold a converted file against the reference: outputs, gates and layers."""
    dtype = HALF_TYPES[precision]
    gates = check_gates(reference.sites, plain(read_model(file)), dtype, reference.feeds)
    layers = check_layers(reference.layers, original.plain(), plain(read_model(file)), dtype)
    report = _compare_rounded(reference.recording, file, original.file.parent)
    if precision == "fp16":  # ONNX Runtime has no bfloat16 convolution on the CPU
        report = _joined(report, _compare_run(reference.recording, file))
    return replace(report, gates=gates, layers=layers)


def _compare_run(recording: Recording, file: Path) -> ValidationReport:
    with OnnxRunner(file, as_written=True) as runner:
        return compare(recording, runner)


def _compare_rounded(recording: Recording, file: Path, folder: Path) -> ValidationReport:
    emulated = folder / "rounded.onnx"
    write_model(rounded(plain(read_model(file))), emulated)
    report = _compare_run(recording, emulated)
    results = (replace(r, case=f"{r.case}, every rounding shown") for r in report.results)
    return replace(report, results=tuple(results))


def _joined(a: ValidationReport, b: ValidationReport) -> ValidationReport:
    return replace(b, results=(*b.results, *a.results))


def make_half(subject: Subject, step: Step, target: Path) -> Written:
    """Write the graph in a half type, and prove it right, outside and inside."""
    step.progress("making the float32 graph")
    traced = subject.graph()
    sites = check_sites(traced.model)
    cases = rule_for("fp32", step.precision).cases(subject.shapes)
    with workspace(target, step.file.parent) as folder:
        original = keep_original(traced.model, subject.opset, step.lowering, folder)
        step.progress("computing what the precision must cost")
        with subject.reference() as runner:
            reference = record_half(original, runner, cases, step.precision)
        step.progress(f"converting to {step.precision}")
        notes = convert_half(
            original, step.precision, step.keep_io, step.lowering, step.simplify, step.file
        )
        facts = facts_of(subject, (*traced.notes, *notes), sites, step)
        step.progress("judging every gate, layer and output")
        report = judge_half(reference, original, step.file, step.precision)
    inputs, outputs = interface(read_model(step.file))
    return Written(facts, sites, inputs, outputs, report)

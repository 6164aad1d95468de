"""From a float32 network to an int8 or fp8 file, calibrated on samples, and the proof of it.

The float32 file, in the lowering that was asked for, is held against the source; then the quantised
file against the float32 one (`precision.int8.judge`), and its SimAM gates against the formula.
What eight bits do not do for stays float32 (`int8_left`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from simam_deploy.core.specs import TensorSpec
from simam_deploy.core.validation import GateCheck, Seen, ValidationReport
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.prepare import for_runtime, plain
from simam_deploy.graph.sites import check_sites
from simam_deploy.pipeline.int8_left import Trials, settle
from simam_deploy.pipeline.step import Step, Written, facts_of, record_source, workspace
from simam_deploy.precision.int8 import Quantised, measure
from simam_deploy.precision.int8 import judge as judge_tensors
from simam_deploy.precision.int8.asked import ALL, REASONS, choose
from simam_deploy.precision.int8.compare import SCALED
from simam_deploy.precision.int8.formats import FORMATS
from simam_deploy.precision.int8.placement import Choice
from simam_deploy.precision.int8.runs import whole_batches
from simam_deploy.precision.original import keep_original
from simam_deploy.precision.taps import record_sites
from simam_deploy.source.options import SampleOptions
from simam_deploy.source.samples import Dataset, open_dataset
from simam_deploy.source.samples.inputs import batch_of, feeds_of
from simam_deploy.source.subject import Subject
from simam_deploy.verify.candidate import open_candidate
from simam_deploy.verify.gates import check_gates
from simam_deploy.verify.judge import float32_power, judge
from simam_deploy.verify.outputs import Recording
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.power import SCORE

JUDGED = 64
"""Samples that tensors and outputs are judged on, whatever the batch; the gates on the first run.
On 12 of the 64 pictures that a detector was calibrated on, 6 to 14 of its 113 tensors seemed to be
quantised badly, for want of the pictures that their ranges come from."""


@dataclass(frozen=True)
class Calibration:
    """What a network is calibrated on.

    Attributes:
        path: A folder of pictures, .npz or .npy.
        preprocessing: The manifest's facts of that name, for pictures.
        samples: The most to take.
        quantize: Which layers, as `precision.int8.asked` reads it.
    """

    path: Path
    preprocessing: Mapping[str, Any] | None
    samples: int
    quantize: str = ALL

    def given(self) -> SampleOptions:
        """Give the samples to whoever compares outputs."""
        return SampleOptions(self.path, self.samples)

    def open(self, inputs: tuple[TensorSpec, ...], most: int | None = None) -> Dataset:
        """Open it for what the model takes, `most` samples spread over all or as many as stated.

        Raises:
            InputError: There are no samples, or they do not fit.
            UsageError: No input has a batch.
        """
        return open_dataset(self.path, inputs, self.preprocessing, limit=most or self.samples)


def make_quantised(
    subject: Subject,
    calibration: Calibration,
    step: Step,
    target: Path,
    given: float | None = None,
) -> Written:
    """Write the graph in float32, prove it, quantise it, and prove that.

    Args:
        subject: The network.
        calibration: What it is calibrated and judged on.
        step: How it is to be written.
        target: Where the file will stand.
        given: A bound on the float32 file's outputs that a user gave.

    Raises:
        UsageError: The layers that are asked for are not there.
    """
    step.progress("computing reference outputs")
    reference = record_source(subject, "fp32", calibration.given())
    reference.check_number(step.classes)
    step.progress("making the float32 graph")
    traced = subject.graph()
    sites = check_sites(traced.model)
    with workspace(target, step.file.parent) as folder:
        original = keep_original(traced.model, subject.opset, step.fused, folder, step.simplify)
        float32 = folder / "float32.onnx"
        graph = for_runtime(original.graph(), subject.opset, step.simplify, step.lowering)
        inputs, outputs = interface(graph)
        write_model(graph, float32)
        choice = choose(graph, calibration.quantize, FORMATS[step.precision])
        dataset = calibration.open(inputs)
        pair = Pair(original, sites, open_candidate(float32), reference.inputs, reference.outputs)
        report = judge(pair, reference.recording, "fp32", step.progress, given)
        facts = facts_of(subject, traced.notes, sites, step)
        if not report.passed:
            return Written(facts, sites, inputs, outputs, report)
        batch = batch_of(inputs)
        judged = calibration.open(inputs, judged_samples(batch))
        trials = Trials(measure(float32, dataset, step.progress, choice.numbers), judged, step.file)
        quantised, verdict = settle(trials, step.progress, choice)
        gates = _gates(float32, step.file, judged) if sites else ()
    return Written(
        _told(
            {**facts, "quantize": calibration.quantize},
            quantised,
            verdict,
            whole_batches(len(judged), batch),
        ),
        sites,
        inputs,
        outputs,
        _joined(report, verdict, gates),
    )


def judge_again(
    pair: Pair, recording: Recording, report: ValidationReport, dataset: Dataset, folder: Path
) -> ValidationReport:
    """Hold an int8 or fp8 file of ours against its float32 self on samples, as its export did.

    Args:
        pair: A float32 reference and the file.
        recording: Of the reference.
        report: Of its outputs and gates, to which the tensors are added.
        dataset: The samples.
        folder: For the float32 file.

    Returns:
        The report; as it was where the file does not say how it was made.
    """
    facts = pair.candidate.facts
    told = facts.get("calibration", {})
    ranges, choice = told.get("ranges"), _choice_in(told, pair.candidate.precision)
    if not _are_ranges(ranges) or choice is None or facts.get("lowering") not in LOWERINGS:
        return report
    float32 = folder / "float32.onnx"
    write_model(
        for_runtime(pair.original.graph(), facts["opset"], True, facts["lowering"]), float32
    )
    verdict = judge_tensors(float32, pair.candidate.path, dataset, ranges=ranges, choice=choice)
    power = float32_power(pair, recording)
    return _joined(replace(report, power=power), verdict, report.gates)


def _are_ranges(said: Any) -> bool:
    numbers = isinstance(said, dict) and all(isinstance(n, float) for n in said.values())
    return numbers and bool(said)


def _choice_in(told: Mapping[str, Any], precision: str) -> Choice | None:
    """Read a manifest's choice; None where it states none that can be."""
    left, by_tensor = told.get("left_in_float32", {}), told.get("weights_by_tensor", [])
    if not isinstance(left, dict) or not isinstance(by_tensor, list):
        return None
    return Choice(left, frozenset(map(str, by_tensor)), FORMATS[precision])


def judged_samples(batch: int | None) -> int:
    """Give how many samples to judge on: `JUDGED`, or as many as fill whole runs."""
    return -(-JUDGED // (batch or 1)) * (batch or 1)


def _gates(float32: Path, file: Path, dataset: Dataset) -> tuple[GateCheck, ...]:
    """Hold every gate against the formula, on the first sample or as many as the model takes."""
    inputs, _ = interface(read_model(float32))
    feeds = feeds_of(inputs, next(dataset.batches(batch_of(inputs) or 1)))
    samples = record_sites(plain(read_model(float32)), feeds)
    return check_gates(samples, plain(read_model(file)), ir.DataType.FLOAT, feeds)


def _joined(
    report: ValidationReport, verdict: ValidationReport, gates: tuple[GateCheck, ...]
) -> ValidationReport:
    """Put what was found of the int8 file before what was found of the float32 one."""
    scaled = [r.allowed for r in verdict.results if r.output.endswith(SCALED)]
    power = report.power
    if power is not None and scaled:
        power = replace(power, score=Seen(SCORE / max(scaled)))
    return replace(
        report,
        power=power,
        precision=verdict.precision,
        rule=f"{verdict.rule}; float32: {report.rule}",
        results=(*verdict.results, *report.results),
        gates=gates,
        layers=verdict.layers,
    )


def _told(
    facts: dict[str, Any], quantised: Quantised, verdict: ValidationReport, judged: int
) -> dict[str, Any]:
    """Add to the facts how the file was calibrated, what stays float32, and what is not seen."""
    samples = quantised.calibration["samples"]
    layers = quantised.layers + len(quantised.kept)
    name = quantised.choice.numbers.name
    notes = (
        *quantised.notes,
        f"{name} calibrated on {samples} samples, judged on {judged}",
        f"{quantised.layers} of {layers} layers in {name}; in float32 {_said(quantised.kept)}",
        *_blunt(verdict, name),
    )
    return {
        **facts,
        "notes": [*facts["notes"], *notes],
        "calibration": {
            **quantised.calibration,
            "quantised": list(quantised.names),
            "judged": judged,
        },
    }


def _said(kept: Sequence[str]) -> str:
    """List what stays float32; of what was not asked for or does not pay, how much."""
    told = {reason: [k for k in kept if k.endswith(f"({reason})")] for reason in REASONS}
    summed = [f"{len(found)} ({reason})" for reason, found in told.items() if found]
    alone = [layer for layer in kept if not layer.endswith(tuple(f"({r})" for r in REASONS))]
    return ", ".join((*alone, *summed))


def _blunt(verdict: ValidationReport, name: str) -> Iterator[str]:
    """Say what the judge cannot: of the slice that shows least when it is off by a factor."""
    told = [result for result in verdict.results if math.isfinite(result.allowed)]
    scaled = [result for result in told if result.output.endswith(SCALED)]
    if scaled:
        worst = max(scaled, key=lambda result: result.allowed)
        yield (
            f"of {worst.output.removesuffix(SCALED)} a factor of less than {worst.allowed:.1%} "
            f"is not told from what {name} does itself"
        )

"""From a float32 network to an int8 file, calibrated on samples, and the proof that it is right.

The float32 file, in the lowering that was asked for, is held against the source; then the int8
file against the float32 one (`precision.int8.judge`), and its SimAM gates against the formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import TensorSpec
from simam_deploy.core.validation import ValidationReport
from simam_deploy.errors import UsageError
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import for_runtime, plain
from simam_deploy.graph.sites import check_sites
from simam_deploy.pipeline.step import Step, Written, facts_of, record_source, workspace
from simam_deploy.precision.int8 import Quantised, quantise
from simam_deploy.precision.int8 import judge as judge_tensors
from simam_deploy.precision.original import keep_original
from simam_deploy.precision.taps import record_sites
from simam_deploy.source.options import SampleOptions
from simam_deploy.source.samples import Dataset, open_dataset
from simam_deploy.source.subject import Subject
from simam_deploy.verify.candidate import open_candidate
from simam_deploy.verify.gates import check_gates
from simam_deploy.verify.judge import judge
from simam_deploy.verify.pair import Pair

JUDGED = 12
"""Samples that the whole is judged on; the gates on the first."""


@dataclass(frozen=True)
class Calibration:
    """What a network is calibrated on.

    Attributes:
        path: A folder of pictures, .npz or .npy.
        preprocessing: The manifest's facts of that name, for pictures.
        samples: The most to take.
    """

    path: Path
    preprocessing: Mapping[str, Any] | None
    samples: int

    def given(self) -> SampleOptions:
        """Give the samples to whoever compares outputs."""
        return SampleOptions(self.path, self.samples)

    def open(self, inputs: tuple[TensorSpec, ...], most: int | None = None) -> Dataset:
        """Open it for the model's only input, `most` samples spread over all or as many as stated.

        Raises:
            InputError: There are no samples, or they do not fit.
            UsageError: The model has more inputs.
        """
        if len(inputs) != 1:
            raise UsageError(f"int8 is for models of one input, this one has {len(inputs)}")
        return open_dataset(self.path, inputs[0], self.preprocessing, limit=most or self.samples)


def convert_int8(float32: Path, dataset: Dataset, file: Path, progress: Progress) -> Quantised:
    """Quantise a float32 file into `file`.

    Raises:
        InputError: It is quantised already, has nothing to quantise, or the samples do not do.
        UsageError: Its opset is below 13.
    """
    quantised = quantise(float32, dataset, progress=progress)
    write_model(quantised.model, file)
    return quantised


def judge_int8(
    report: ValidationReport, float32: Path, file: Path, dataset: Dataset, quantised: Quantised
) -> ValidationReport:
    """Hold the int8 file against the float32 one.

    Args:
        report: Of the float32 file, against the source.
        float32: The file in float32.
        file: The same in int8.
        dataset: Some `JUDGED` samples, of all classes.
        quantised: How the int8 file was made.
    """
    (spec,), _ = interface(read_model(float32))
    batch = spec.shape[0] if isinstance(spec.shape[0], int) else None
    several = {spec.name: next(dataset.batches(batch or JUDGED)).array}
    one = {spec.name: several[spec.name][: batch or 1]}
    # Too few samples say little about ranges: then the scales are held to what was measured.
    ranges = quantised.calibration["ranges"] if len(dataset) < JUDGED else None
    judged = judge_tensors(float32, file, several, ranges=ranges, kept=quantised.kept)
    samples = record_sites(plain(read_model(float32)), one)
    gates = check_gates(samples, plain(read_model(file)), ir.DataType.FLOAT, one)
    return replace(
        report,
        precision=judged.precision,
        rule=f"{judged.rule}; float32: {report.rule}",
        results=(*judged.results, *report.results),
        gates=gates,
        layers=judged.layers,
    )


def make_int8(subject: Subject, calibration: Calibration, step: Step, target: Path) -> Written:
    """Write the graph in float32, prove it, quantise it, and prove that."""
    step.progress("computing reference outputs")
    reference = record_source(subject, "fp32", calibration.given())
    step.progress("making the float32 graph")
    traced = subject.graph()
    sites = check_sites(traced.model)
    with workspace(target, step.file.parent) as folder:
        original = keep_original(traced.model, subject.opset, step.fused, folder, step.simplify)
        float32 = folder / "float32.onnx"
        graph = for_runtime(original.graph(), subject.opset, step.simplify, step.lowering)
        inputs, outputs = interface(graph)
        write_model(graph, float32)
        dataset = calibration.open(inputs)
        candidate = open_candidate(float32)
        pair = Pair(original, sites, candidate, reference.inputs, reference.outputs)
        report = judge(pair, reference.recording, "fp32", step.progress)
        quantised = convert_int8(float32, dataset, step.file, step.progress)
        step.progress("judging every gate, quantised tensor and output")
        judged = calibration.open(inputs, JUDGED)
        report = judge_int8(report, float32, step.file, judged, quantised)
    left = f"{quantised.layers} layers in int8; in float32 {', '.join(quantised.kept)}"
    facts = facts_of(subject, (*traced.notes, *quantised.notes, left), sites, step)
    return Written(facts | {"calibration": quantised.calibration}, sites, inputs, outputs, report)

"""The order of the steps, read top to bottom."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from simam_deploy.core.files import PLANS
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import QUANTISED, TensorSpec
from simam_deploy.core.staging import check_target
from simam_deploy.errors import UsageError
from simam_deploy.graph.types import HALVES
from simam_deploy.pipeline.bisection import bisect_candidate
from simam_deploy.pipeline.int8 import judge_again
from simam_deploy.pipeline.options import ComparisonOptions
from simam_deploy.runtime.onnx_runner import require_onnxruntime
from simam_deploy.source.options import NetworkOptions, SampleOptions
from simam_deploy.source.samples import Dataset
from simam_deploy.source.subject import Subject
from simam_deploy.verify.candidate import Candidate, open_candidate
from simam_deploy.verify.classes import compare_samples
from simam_deploy.verify.given import given_cases, open_samples
from simam_deploy.verify.judge import judge
from simam_deploy.verify.outputs import Recording, record
from simam_deploy.verify.pair import (
    check_inputs,
    load_reference,
    pair_up,
    shapes_for,
    taken_by_both,
)
from simam_deploy.verify.report import ComparisonReport, Side
from simam_deploy.verify.rule import rule_for
from simam_deploy.verify.sample_facts import notes_on, sample_facts


def validate_models(
    reference: str | os.PathLike[str],
    candidate: str | os.PathLike[str],
    network: NetworkOptions | None = None,
    samples: SampleOptions | None = None,
    options: ComparisonOptions | None = None,
    *,
    progress: Progress = lambda step: None,
) -> ComparisonReport:
    """Hold a candidate's outputs, SimAM gates, and classes or detections against a reference's.

    Args:
        reference: What `export_onnx` takes, in float32: it is right by definition.
        candidate: An .onnx in float32, float16, bfloat16 or int8; or a plan, whose gates cannot be
            read, so that its outputs and classes alone are judged.
        network: What is said of the reference; its shape is for what the candidate leaves free,
            and its free dimensions are the candidate's.
        samples: Samples to rank classes or detect on; gates are then judged on them too.
        options: How the candidate is judged.
        progress: Told each step.

    Returns:
        The report, whatever it says.

    Raises:
        InputError: A file cannot be used, or the models do not take the same input.
        UsageError: The reference is not float32, or options contradict each other.
        ValidationError: The candidate cannot be run at all.
    """
    started = time.perf_counter()
    network, samples = network or NetworkOptions(), samples or SampleOptions()
    options = options or ComparisonOptions()
    _check(network, samples, options, Path(candidate))
    require_onnxruntime()
    progress("reading the candidate")
    other = _open(Path(candidate), options)
    progress("reading the reference")
    subject = load_reference(Path(reference), network, other)
    with tempfile.TemporaryDirectory() as folder:
        truth = _record(subject, other, samples, network.preprocess is not None, progress)
        pair = pair_up(subject, truth.inputs, truth.outputs, other, Path(folder))
        report = judge(pair, truth.recording, subject.precision, progress, options.tolerance)
        if (
            other.precision in QUANTISED
            and truth.dataset is not None
            and subject.precision == "fp32"
        ):
            report = judge_again(pair, truth.recording, report, truth.dataset, Path(folder))
        accuracy = None
        if truth.dataset is not None:
            accuracy = compare_samples(
                pair, subject.reference, truth.dataset, options.min_agreement, progress
            )
        found = None
        if options.find_hazards and not report.outputs_passed:
            output = None if options.output is None else Path(options.output)
            found = bisect_candidate(pair, subject.facts, truth.recording, output, progress)
    return ComparisonReport(
        reference=Side(
            Path(reference).name,
            truth.recording.reference,
            subject.precision,
            pair.inputs,
            pair.outputs,
        ),
        candidate=Side(
            other.path.name, report.candidate, other.precision, other.inputs, other.outputs
        ),
        validation=report,
        accuracy=accuracy,
        bisection=found,
        notes=(
            *subject.notes,
            *subject.contradicted(pair.sites),
            *pair.notes,
            *other.notes,
            *report.notes,
            *truth.notes,
            *(notes_on(truth.dataset) if truth.dataset else ()),
        ),
        seconds=time.perf_counter() - started,
        gates_shown=other.graph is not None and bool(pair.sites),
    )


@dataclass(frozen=True)
class _Truth:
    """What the reference takes and gives, and what it gave."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    recording: Recording
    dataset: Dataset | None
    notes: tuple[str, ...]


def _record(
    subject: Subject,
    candidate: Candidate,
    samples: SampleOptions,
    asked: bool,
    progress: Progress,
) -> _Truth:
    """Run the reference on every input that the candidate is judged on."""
    progress("computing reference outputs")
    rule = rule_for(subject.precision, candidate.precision)
    known = sample_facts(subject, candidate, asked)
    preprocessing = known.preprocessing
    with subject.reference() as runner:
        check_inputs(runner.inputs, candidate)
        shapes = shapes_for(subject, runner.inputs, candidate)
        inputs = taken_by_both(runner.inputs, candidate)
        dataset = open_samples(samples, inputs, shapes[0], preprocessing, known.classes)
        given = given_cases(dataset, inputs)
        recording = record(runner, (*rule.cases(shapes, preprocessing), *given))
        names = tuple(spec.name for spec in runner.outputs)
        return _Truth(runner.inputs, names, recording, dataset, known.notes)


def _open(path: Path, options: ComparisonOptions) -> Candidate:
    """Open the candidate.

    Raises:
        InputError: It cannot be used.
        UsageError: Hazards are asked for, and it is of another precision than has any.
        ValidationError: No runtime takes it.
    """
    candidate = open_candidate(path, options.trust_engine)
    if options.find_hazards and candidate.dtype not in HALVES:
        raise UsageError(
            f"hazards are found in fp16 and bf16 candidates, this one is {candidate.precision}",
            options=("find_hazards",),
        )
    return candidate


def _check(
    network: NetworkOptions, samples: SampleOptions, options: ComparisonOptions, candidate: Path
) -> None:
    """Refuse what cannot be, before any work.

    Raises:
        InputError: The output would overwrite what is not ours.
        UsageError: Options contradict each other or the candidate.
    """
    if options.find_hazards and candidate.suffix in PLANS:
        raise UsageError(
            f"hazards are nodes of an .onnx: those of {candidate}, a plan, cannot be told",
            options=("find_hazards",),
        )
    if network.dynamic is not None:
        raise UsageError(f"what is free is said by {candidate}, not by the reference")
    if samples.data is None and (samples.limit, options.min_agreement) != (None, None):
        raise UsageError(
            "the most samples and their least agreement are about sample data: give some",
            options=("limit", "min_agreement", "data"),
        )
    if options.output is not None:
        check_target(Path(options.output))

"""The order of the steps, read top to bottom."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from simam_deploy.core.files import PLANS
from simam_deploy.core.progress import Progress
from simam_deploy.core.staging import check_target
from simam_deploy.errors import UsageError
from simam_deploy.graph.types import HALVES
from simam_deploy.pipeline.bisection import bisect_candidate
from simam_deploy.pipeline.options import ComparisonOptions
from simam_deploy.runtime.onnx_runner import require_onnxruntime
from simam_deploy.source.options import NetworkOptions, SampleOptions
from simam_deploy.verify.candidate import Candidate, open_candidate
from simam_deploy.verify.classes import compare_samples, open_samples
from simam_deploy.verify.inside import Inside, gate_inputs, look_inside
from simam_deploy.verify.pair import open_pair
from simam_deploy.verify.pair_outputs import compare_outputs, record_outputs
from simam_deploy.verify.report import ComparisonReport, Side


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
    with tempfile.TemporaryDirectory() as folder:
        pair = open_pair(Path(reference), network, other, Path(folder))
        progress("computing reference outputs")
        recording = record_outputs(pair)
        dataset = open_samples(samples, pair)
        progress("comparing outputs")
        validation, side, notes = compare_outputs(pair, recording)
        inside = Inside()
        if other.graph is not None:
            progress("checking gates")
            feeds = list(gate_inputs(pair, recording, dataset))
            inside = look_inside(pair, other.graph, feeds, validation)
        accuracy = None
        if dataset is not None:
            accuracy = compare_samples(pair, dataset, options.min_agreement, progress)
        found = None
        if options.find_hazards and not validation.passed:
            output = None if options.output is None else Path(options.output)
            found = bisect_candidate(pair, recording, output, progress)
    return ComparisonReport(
        reference=Side(
            Path(reference).name, recording.reference, "fp32", pair.inputs, pair.outputs
        ),
        candidate=side,
        validation=validation,
        gates=inside.gates,
        gate_inputs=dataset.name if dataset else "drawn inputs",
        layers=inside.layers,
        departure=inside.departure,
        accuracy=accuracy,
        bisection=found,
        notes=(
            *pair.subject.notes,
            *other.notes,
            *notes,
            *inside.notes,
            *(dataset.notes if dataset else ()),
        ),
        seconds=time.perf_counter() - started,
        gates_shown=other.graph is not None,
    )


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

"""The order of the steps, read top to bottom."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from simam_deploy.core.files import PLANS
from simam_deploy.core.place import check_place
from simam_deploy.core.progress import Progress
from simam_deploy.errors import UsageError
from simam_deploy.graph.types import HALVES
from simam_deploy.pipeline.bisection import bisect_candidate
from simam_deploy.runtime.onnx_runner import require_onnxruntime
from simam_deploy.source import Options
from simam_deploy.verify.candidate import open_candidate
from simam_deploy.verify.classes import Data, compare_classes, open_samples
from simam_deploy.verify.inside import Inside, gate_inputs, look_inside
from simam_deploy.verify.pair import open_pair
from simam_deploy.verify.pair_outputs import compare_outputs, record_outputs
from simam_deploy.verify.report import ComparisonReport, Side


def validate_models(
    reference: str | Path,
    candidate: str | Path,
    *,
    arch: str | None = None,
    model: str | None = None,
    e_lambda: float | None = None,
    input_shape: Sequence[int] | None = None,
    trust_pickle: bool = False,
    trust_engine: bool = False,
    data: Data | None = None,
    find_hazards: bool = False,
    output: Path | None = None,
    progress: Progress = lambda step: None,
) -> ComparisonReport:
    """Hold a candidate's outputs, SimAM gates and classes against a reference's.

    Args:
        reference: What `export_onnx` takes, in float32: it is right by definition.
        candidate: An .onnx in float32, float16, bfloat16 or int8; or a plan, whose gates cannot be
            read, so that its outputs and classes alone are judged.
        arch: As for `export_onnx`, of the reference.
        model: As for `export_onnx`, of the reference.
        e_lambda: As for `export_onnx`, of the reference.
        input_shape: Sizes for dimensions that the candidate leaves free.
        trust_pickle: As for `export_onnx`, of the reference.
        trust_engine: Whether a plan is loaded without its manifest's word: a plan can run code.
        data: Samples, if there are any; gates are then judged on them.
        find_hazards: Whether to find the nodes that must stay in float32, where a half candidate's
            outputs fail.
        output: Where to write the conversion that keeps them.
        progress: Told each step.

    Returns:
        The report, whatever it says.

    Raises:
        InputError: A file cannot be used, or the models do not take the same input.
        UsageError: The reference is not float32, or options contradict each other.
        ValidationError: The candidate cannot be run at all.
    """
    started = time.perf_counter()
    require_onnxruntime()
    if find_hazards and Path(candidate).suffix in PLANS:
        raise UsageError(f"--bisect wants an .onnx: nodes of {candidate}, a plan, cannot be told")
    if output is not None:
        check_place(output)
    progress("reading the candidate")
    other = open_candidate(Path(candidate), trust_engine)
    if find_hazards and other.dtype not in HALVES:
        raise UsageError(f"--bisect is for fp16 and bf16 candidates, this one is {other.precision}")
    progress("reading the reference")
    options = Options(arch, model, e_lambda, input_shape=input_shape, trust_pickle=trust_pickle)
    with tempfile.TemporaryDirectory() as folder:
        pair = open_pair(Path(reference), options, other, Path(folder))
        progress("computing reference outputs")
        recording = record_outputs(pair)
        samples = open_samples(data, pair) if data else None
        progress("comparing outputs")
        validation, side, notes = compare_outputs(pair, recording)
        inside = Inside()
        if other.graph is not None:
            progress("checking gates")
            feeds = list(gate_inputs(pair, recording, samples))
            inside = look_inside(pair, other.graph, feeds, validation)
        accuracy = compare_classes(pair, samples, data, progress) if samples and data else None
        found = None
        if find_hazards and not validation.passed:
            found = bisect_candidate(pair, recording, output, progress)
    return ComparisonReport(
        reference=Side(
            Path(reference).name, recording.reference, "fp32", pair.inputs, pair.outputs
        ),
        candidate=side,
        validation=validation,
        gates=inside.gates,
        gate_inputs=f"{data.path.name}" if data else "drawn inputs",
        layers=inside.layers,
        departure=inside.departure,
        accuracy=accuracy,
        bisection=found,
        notes=(
            *pair.subject.notes,
            *other.notes,
            *notes,
            *inside.notes,
            *(samples.notes if samples else ()),
        ),
        seconds=time.perf_counter() - started,
        gates_shown=other.graph is not None,
    )

"""From a source to a validated ONNX file."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.artifacts import OnnxArtifact
from simam_deploy.core.files import parts, stem_of
from simam_deploy.core.labels import read_labels
from simam_deploy.core.manifest import manifest_path, write_json
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import PRECISIONS
from simam_deploy.core.staging import explained, publish, staging_folder
from simam_deploy.core.validation import GateCheck, ValidationReport
from simam_deploy.errors import UsageError, ValidationError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.seal import seal
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import choose_lowering
from simam_deploy.graph.prepare import for_runtime, plain
from simam_deploy.graph.sites import check_sites
from simam_deploy.graph.types import LEAST_OPSET, float_type
from simam_deploy.pipeline.half import make_half
from simam_deploy.pipeline.int8 import Calibration, make_int8
from simam_deploy.pipeline.step import Step, Written, facts_of, record_source
from simam_deploy.precision.int8 import SAMPLES
from simam_deploy.precision.original import check_convertible
from simam_deploy.precision.taps import record_sites
from simam_deploy.runtime.onnx_runner import OnnxRunner, require_onnxruntime
from simam_deploy.source import Options, Subject, load_subject
from simam_deploy.verify.gates import check_gates
from simam_deploy.verify.outputs import compare
from simam_deploy.verify.report import describe_failure

OPSETS = range(13, 24)


def export_onnx(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    arch: str | None = None,
    model: str | None = None,
    e_lambda: float | None = None,
    dynamic: str | None = None,
    input_shape: Sequence[int] | None = None,
    opset: int | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    lowering: str = "auto",
    precision: str | None = None,
    keep_io: bool = True,
    calibration_data: str | os.PathLike[str] | None = None,
    calibration_samples: int = SAMPLES,
    labels: str | os.PathLike[str] | None = None,
    simplify: bool = True,
    trust_pickle: bool = False,
    progress: Progress = lambda step: None,
) -> OnnxArtifact:
    """Export a SimAM network to a validated ONNX file with its manifest.

    Args:
        source: Checkpoint (.pth, .pth.tar, .pt, .safetensors), torch.export program (.pt2),
            TorchScript archive, or an .onnx file that somebody exported.
        output: The .onnx to write, or an existing folder for it; by default beside the source.
        arch: Network name, needed only where the keys show no SimAM.
        model: "file.py:factory" or "package.module:factory", called without arguments, for a
            checkpoint of a network of your own.
        e_lambda: SimAM's lambda; by default what the file or its folder says, else the
            family's published value.
        dynamic: "none", "batch" or "hw" (batch, height and width, or frames); by default
            "batch", and "hw" for audio.
        input_shape: Full shape, or for a published network the shape without the batch; a
            network of your own needs it.
        opset: 13 to 23; by default 18 (22 for "bf16"), or an .onnx file's own.
        input_names: Name of the graph's input, alone in a sequence.
        output_names: Names of the graph's outputs.
        lowering: What SimAM becomes: "auto", "portable", "flat", "function", "instancenorm" or
            "plugin".
        precision: "fp32", "fp16", "bf16" or "int8"; by default the source's own. Weights and
            activations are in it; SimAM, and sums as fragile, compute in float32.
        calibration_data: Samples for "int8": a folder of pictures, .npz or .npy.
        calibration_samples: The most samples to take of them.
        keep_io: Whether the inputs and outputs of a half-precision file are float32.
        labels: File of the classes' names, a line each in the order of the scores, for the
            manifest.
        simplify: Whether onnx-simplifier runs.
        trust_pickle: Whether the source may run code while it is loaded.
        progress: Told each step.

    Returns:
        The artifact; the file stands under its name only because it passed validation.

    Raises:
        InputError: The checkpoint cannot be used or the output cannot be written.
        UsageError: The options contradict each other or the network.
        ValidationError: The graph does not compute what the network does; the report lies
            where the manifest would have been, and the file nowhere.
    """
    started = time.perf_counter()
    options = Options(
        arch=arch,
        model=model,
        e_lambda=e_lambda,
        dynamic=dynamic,
        input_shape=input_shape,
        opset=opset,
        least_opset=LEAST_OPSET.get(precision or "", 0),
        input_names=input_names,
        output_names=output_names,
        trust_pickle=trust_pickle,
    )
    _check_precision(precision, calibration_data)
    target = _target(Path(source), output, opset)
    lowering = choose_lowering(lowering, opset)
    classes = {} if labels is None else {"classes": list(read_labels(Path(labels)))}
    require_onnxruntime()
    with staging_folder(target) as stage:
        progress("reading the network")
        subject = load_subject(Path(source), options)
        choose_lowering(lowering, subject.opset)  # an .onnx file may bring an older opset
        if precision in (None, subject.precision):
            step = Step(lowering, subject.precision, True, simplify, stage / target.name, progress)
            written = _keep_precision(Path(source), subject, step, target)
        else:
            check_convertible(Path(source).name, subject.precision, str(precision))
            step = Step(lowering, str(precision), keep_io, simplify, stage / target.name, progress)
            if calibration_data is None:
                written = make_half(subject, step, target)
            else:
                given = Path(calibration_data), subject.facts.get("preprocessing")
                calibration = Calibration(*given, calibration_samples)
                written = make_int8(subject, calibration, step, target)
        _reject_failed(written.report, target)
        with explained(target):
            facts = {**written.facts, **classes, "validation": written.report.summary()}
            seal(step.file, facts)
            publish(stage, target)
    return OnnxArtifact(
        path=target,
        manifest_path=manifest_path(target),
        arch=facts["arch"],
        e_lambda=facts["e_lambda"],
        e_lambda_source=facts["e_lambda_source"],
        sites=written.sites,
        lowering=lowering,
        precision=facts["precision"],
        opset=facts["opset"],
        size=sum(p.stat().st_size for p in parts(target)),
        inputs=written.inputs,
        outputs=written.outputs,
        validation=written.report,
        notes=tuple(facts["notes"]),
        seconds=time.perf_counter() - started,
    )


def _check_precision(precision: str | None, calibration_data: object) -> None:
    """Check that the options about precision go together.

    Raises:
        UsageError: They do not.
    """
    if precision is not None and precision not in PRECISIONS:
        raise UsageError(f"--precision must be {', '.join(PRECISIONS)}; got {precision!r}")
    if precision == "int8" and calibration_data is None:
        raise UsageError("--precision int8 wants samples to measure ranges on: --calibration-data")
    if precision != "int8" and calibration_data is not None:
        raise UsageError("--calibration-data is for --precision int8 alone")


def _target(source: Path, output: str | os.PathLike[str] | None, opset: int | None) -> Path:
    """Check what can be checked before any work and say where the file goes.

    Raises:
        UsageError: The opset is out of range, or the output is not named .onnx or is the source.
    """
    if opset is not None and opset not in OPSETS:
        raise UsageError(f"--opset must be {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    target = Path(output) if output is not None else source.parent
    if output is None or target.is_dir():
        target = target / f"{stem_of(source)}.onnx"
    if target.suffix != ".onnx":
        raise UsageError(f"the output must be named .onnx or be an existing folder, got {target}")
    if target.resolve() == source.resolve():
        raise UsageError(f"{source.name} would be overwritten: name another file with --output")
    return target


def _keep_precision(source: Path, subject: Subject, step: Step, target: Path) -> Written:
    """Write the graph in its own precision, and hold it against the source."""
    step.progress("computing reference outputs")
    recording = record_source(subject)
    step.progress("making the ONNX graph")
    traced = subject.graph()
    sites = check_sites(traced.model)
    graph = for_runtime(traced.model, subject.opset, step.simplify, step.lowering)
    with explained(target):
        write_model(graph, step.file)
    facts = facts_of(subject, traced.notes, sites, step)
    # The weights' last holders: freed before ONNX Runtime loads its own copy.
    del subject, traced, graph
    gc.collect()
    step.progress("validating in ONNX Runtime")
    with OnnxRunner(step.file, as_written=True) as runner:
        report = compare(recording, runner)
    if step.precision == "int8":  # whose bound on the outputs is wide; its SimAM is float32
        feeds = next(c for c in recording.outputs if c.kind == "normal").feeds(runner.inputs)
        report = replace(report, gates=_check_kept_gates(source, step.file, feeds))
    return Written(facts, sites, runner.inputs, runner.outputs, report)


def _check_kept_gates(source: Path, file: Path, feeds: Feeds) -> tuple[GateCheck, ...]:
    """Hold every gate of a file against the formula, on the maps that its source has there."""
    candidate = plain(read_model(file))
    samples = record_sites(plain(read_model(source)), feeds)
    return check_gates(samples, candidate, float_type(candidate), feeds)


def _reject_failed(report: ValidationReport, target: Path) -> None:
    """Leave the report where a failed file would have had its manifest.

    Raises:
        ValidationError: The report did not pass.
    """
    if report.passed:
        return
    path = target.with_suffix(".failed.json")
    with explained(path):
        write_json(path, report.details())
    raise ValidationError(
        f"{target.name} was not written: {describe_failure(report)}; all figures are in {path}"
    )

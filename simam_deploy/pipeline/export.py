"""From a source to a validated ONNX file."""

from __future__ import annotations

import gc
import os
import time
from dataclasses import replace
from pathlib import Path

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.artifacts import OnnxArtifact
from simam_deploy.core.conversion import check_precision
from simam_deploy.core.files import parts
from simam_deploy.core.labels import read_labels
from simam_deploy.core.manifest import manifest_path, write_json
from simam_deploy.core.place import failed_path, place_of
from simam_deploy.core.progress import Progress
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
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.pipeline.step import Step, Written, facts_of, record_source
from simam_deploy.precision.original import check_convertible
from simam_deploy.precision.taps import record_sites
from simam_deploy.runtime.onnx_runner import OnnxRunner, require_onnxruntime
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.subject import Opset, Subject
from simam_deploy.verify.gates import check_gates
from simam_deploy.verify.outputs import compare
from simam_deploy.verify.report import describe_failure

OPSETS = range(13, 24)


def export_onnx(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    onnx: OnnxOptions | None = None,
    network: NetworkOptions | None = None,
    *,
    progress: Progress = lambda step: None,
) -> OnnxArtifact:
    """Export a SimAM network to a validated ONNX file with its manifest.

    Args:
        source: Checkpoint (.pth, .pth.tar, .pt, .safetensors), torch.export program (.pt2),
            TorchScript archive, or an .onnx file that somebody exported.
        output: The .onnx to write; or a folder for it, which is there or whose name ends in a
            slash; by default beside the source.
        onnx: What is asked of the file.
        network: What is said of the source; by default it speaks for itself.
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
    onnx, network = onnx or OnnxOptions(), network or NetworkOptions()
    _check(onnx)
    target = place_of(Path(source), output, (".onnx",))
    lowering = choose_lowering(onnx.lowering, onnx.opset)
    classes = {} if onnx.labels is None else {"classes": list(read_labels(Path(onnx.labels)))}
    require_onnxruntime()
    with staging_folder(target) as stage:
        progress("reading the network")
        least = LEAST_OPSET.get(onnx.precision or "", 0)
        subject = load_subject(Path(source), network, Opset(onnx.opset, least))
        choose_lowering(lowering, subject.opset)  # an .onnx file may bring an older opset
        kept = onnx.precision in (None, subject.precision)
        step = Step(
            lowering=lowering,
            precision=subject.precision if kept else str(onnx.precision),
            keep_io=onnx.keep_io or kept,
            simplify=onnx.simplify,
            file=stage / target.name,
            progress=progress,
        )
        written = (
            _keep_precision(Path(source), subject, step, target)
            if kept
            else _converted(Path(source).name, subject, onnx, step, target)
        )
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


def _check(onnx: OnnxOptions) -> None:
    """Check what can be checked before any work.

    Raises:
        UsageError: The opset is out of range, or what is said of the precision does not go
            together.
    """
    if onnx.opset is not None and onnx.opset not in OPSETS:
        raise UsageError(
            f"the opset must be {OPSETS[0]} to {OPSETS[-1]}, got {onnx.opset}", options=("opset",)
        )
    check_precision(onnx)
    if onnx.precision == "int8" and onnx.calibration_data is None:
        raise UsageError("int8 wants samples to measure ranges on", options=("calibration_data",))


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


def _converted(name: str, subject: Subject, onnx: OnnxOptions, step: Step, target: Path) -> Written:
    """Write the graph in another precision than its own, and prove the conversion."""
    check_convertible(name, subject.precision, step.precision)
    if onnx.calibration_data is None:
        return make_half(subject, step, target)
    given = Path(onnx.calibration_data), subject.facts.get("preprocessing")
    return make_int8(subject, Calibration(*given, onnx.calibration_samples), step, target)


def _reject_failed(report: ValidationReport, target: Path) -> None:
    """Leave the report where a failed file would have had its manifest.

    Raises:
        ValidationError: The report did not pass.
    """
    if report.passed:
        return
    path = failed_path(target)
    with staging_folder(path) as stage, explained(path):
        write_json(stage / path.name, report.details())
        publish(stage, path)
    raise ValidationError(
        f"{target.name} was not written: {describe_failure(report)}; all figures are in {path}"
    )

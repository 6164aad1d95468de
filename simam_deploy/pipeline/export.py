"""From a source to a validated ONNX file."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simam_deploy.core.artifacts import OnnxArtifact
from simam_deploy.core.caveats import caveats
from simam_deploy.core.conversion import AUTO, check_precision
from simam_deploy.core.files import parts
from simam_deploy.core.labels import read_labels
from simam_deploy.core.manifest import manifest_path, write_json
from simam_deploy.core.place import failed_path, place_of
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import QUANTISED
from simam_deploy.core.staging import explained, publish, staging_folder
from simam_deploy.core.validation import ValidationReport
from simam_deploy.errors import UsageError, ValidationError
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.seal import seal
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import choose_lowering
from simam_deploy.graph.prepare import for_runtime
from simam_deploy.graph.sites import check_sites
from simam_deploy.graph.types import LEAST_OPSET
from simam_deploy.pipeline.half import convert_half
from simam_deploy.pipeline.int8 import Calibration, make_quantised
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.pipeline.step import Step, Written, facts_of, record_source, workspace
from simam_deploy.precision.original import Original, check_convertible, keep_original
from simam_deploy.runtime.onnx_runner import require_onnxruntime
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions, SampleOptions
from simam_deploy.source.stated.choice import name_classes
from simam_deploy.source.subject import Opset, Subject
from simam_deploy.verify.candidate import open_candidate
from simam_deploy.verify.judge import judge
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.report import describe_failure

OPSETS = range(13, 24)


def export_onnx(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    onnx: OnnxOptions | None = None,
    network: NetworkOptions | None = None,
    samples: SampleOptions | None = None,
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
        samples: Real inputs that the file is judged on beside drawn ones, the first 8 of them.
        progress: Told each step.

    Returns:
        The artifact; the file stands under its name only because it passed validation, or because
        it was to be kept though it failed, as its report and manifest say.

    Raises:
        InputError: The checkpoint cannot be used or the output cannot be written.
        UsageError: The options contradict each other or the network.
        ValidationError: The graph does not compute what the network does; the report lies
            where the manifest would have been, and the file nowhere.
    """
    started = time.perf_counter()
    onnx, network = onnx or OnnxOptions(), network or NetworkOptions()
    samples = samples or SampleOptions()
    _check(onnx)
    target = place_of(Path(source), output, (".onnx",))
    lowering = choose_lowering(onnx.lowering, onnx.opset)
    labels = None if onnx.labels is None else read_labels(Path(onnx.labels))
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
            classes=labels or (),
        )
        if not kept:
            check_convertible(Path(source).name, subject.precision, step.precision)
        if kept or onnx.calibration_data is None:
            written = _write(subject, step, samples, target, onnx.tolerance)
        else:
            given = Path(onnx.calibration_data), subject.facts.get("preprocessing")
            written = make_quantised(
                subject,
                Calibration(*given, onnx.calibration_samples, onnx.quantize),
                step,
                target,
            )
        if not (onnx.keep_failed and step.file.exists()):  # int8 of a wrong float32 is not made
            _reject_failed(written.report, target)
        with explained(target):
            facts = {**_named(written, labels), "validation": written.report.summary()}
            facts["notes"] = [*facts["notes"], *caveats(facts)]
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
        contradictions=tuple(facts.get("contradictions", ())),
    )


def _named(written: Written, labels: Sequence[str] | None) -> dict[str, Any]:
    """Give the facts with the class names that were given, or that the source has."""
    facts = dict(written.facts)
    names, against = name_classes(labels, facts.pop("classes", None), written.outputs)
    against = [*facts.pop("contradictions", ()), *against]
    return {**facts, **names, **({"contradictions": against} if against else {})}


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
    if onnx.precision == AUTO:
        raise UsageError(
            "auto is for engines, whose plans tell what is best: name a precision",
            options=("precision",),
        )
    if onnx.precision in QUANTISED and onnx.calibration_data is None:
        raise UsageError(
            f"{onnx.precision} wants samples to measure ranges on", options=("calibration_data",)
        )


def _write(
    subject: Subject, step: Step, samples: SampleOptions, target: Path, given: float | None
) -> Written:
    """Run the source, write its graph in its own precision or in half, and have that judged."""
    step.progress("computing reference outputs")
    reference = record_source(subject, step.precision, samples)
    reference.check_number(step.classes)
    step.progress("making the ONNX graph")
    traced = subject.graph()
    sites = check_sites(traced.model)
    notes, precision = (*traced.notes, *reference.notes), subject.precision
    facts = facts_of(subject, notes, sites, step)
    with workspace(target, step.file.parent) as folder:
        original = keep_original(traced.model, subject.opset, step.fused, folder, step.simplify)
        # The weights' last holders: freed before ONNX Runtime loads its own copy.
        del subject, traced
        gc.collect()
        facts["notes"] += write_file(original, step, precision)
        candidate = open_candidate(step.file)
        pair = Pair(original, sites, candidate, reference.inputs, reference.outputs)
        report = judge(pair, reference.recording, precision, step.progress, given)
    inputs, outputs = interface(read_model(step.file))
    return Written(facts, sites, inputs, outputs, report)


def write_file(original: Original, step: Step, precision: str) -> tuple[str, ...]:
    """Write a graph as was asked for.

    Args:
        original: The graph.
        step: How it is to be written.
        precision: Its own.

    Returns:
        What there is to say of it.

    Raises:
        InputError: The graph cannot be converted.
        UsageError: The opset is too old for bfloat16.
    """
    if step.precision != precision:
        step.progress(f"converting to {step.precision}")
        return convert_half(original, step)
    graph = read_model(original.file)
    write_model(for_runtime(graph, original.opset, step.simplify, step.lowering), step.file)
    return ()


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
    whose = f"; {report.whose}" if report.whose else ""
    raise ValidationError(
        f"{target.name} was not written: {describe_failure(report)}{whose}; all figures are in "
        f"{path}. If that is right for you, give a bound of your own, or have the file kept",
        options=("tolerance", "keep_failed"),
    )

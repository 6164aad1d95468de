"""The order of the steps, one function a command, read top to bottom."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simam_deploy import conversion, manifest
from simam_deploy.artifacts import PRECISIONS, OnnxArtifact, SimamSite, TensorSpec, ValidationReport
from simam_deploy.errors import UsageError, ValidationError
from simam_deploy.graph import prepare
from simam_deploy.graph.interface import interface
from simam_deploy.graph.lowerings import choose_lowering
from simam_deploy.graph.read import read_model
from simam_deploy.graph.sites import check_sites
from simam_deploy.graph.write import write_model
from simam_deploy.labels import read_labels
from simam_deploy.naming import stem_of
from simam_deploy.plan import Lambda
from simam_deploy.quantize import SAMPLES
from simam_deploy.report.failure import describe_failure
from simam_deploy.runtime.onnx_runner import OnnxRunner, require_onnxruntime
from simam_deploy.sources import Options, Subject, load_subject
from simam_deploy.staging import explained, publish, staging_folder
from simam_deploy.validate import Recording, cases_for, compare, record

Progress = Callable[[str], None]
"""Called with a few words before each step that takes time."""

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
        least_opset=conversion.LEAST_OPSET.get(precision or "", 0),
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
            step = _Step(lowering, subject.precision, True, simplify, stage / target.name, progress)
            written = _keep_precision(subject, step, target)
        else:
            conversion.check_convertible(Path(source).name, subject.precision, str(precision))
            step = _Step(lowering, str(precision), keep_io, simplify, stage / target.name, progress)
            if calibration_data is None:
                written = _make_half(subject, step, target)
            else:
                given = Path(calibration_data), subject.facts.get("preprocessing")
                calibration = conversion.Calibration(*given, calibration_samples)
                written = _make_int8(subject, calibration, step, target)
        _reject_failed(written.report, target)
        with explained(target):
            facts = {**written.facts, **classes, "validation": written.report.summary()}
            manifest.seal(step.file, facts)
            publish(stage, target)
    return OnnxArtifact(
        path=target,
        manifest_path=manifest.manifest_path(target),
        arch=facts["arch"],
        e_lambda=facts["e_lambda"],
        e_lambda_source=facts["e_lambda_source"],
        sites=written.sites,
        lowering=lowering,
        precision=facts["precision"],
        opset=facts["opset"],
        size=sum(p.stat().st_size for p in manifest.parts(target)),
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


@dataclass(frozen=True)
class _Step:
    """How a graph is to be written: what was asked for, less what the source says itself."""

    lowering: str
    precision: str
    keep_io: bool
    simplify: bool
    file: Path
    progress: Progress


@dataclass(frozen=True)
class _Written:
    """A file that was written and judged, not yet published."""

    facts: dict[str, Any]
    sites: tuple[SimamSite, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    report: ValidationReport


def _keep_precision(subject: Subject, step: _Step, target: Path) -> _Written:
    """Write the graph in its own precision, and hold it against the source."""
    step.progress("computing reference outputs")
    recording = _record(subject)
    step.progress("making the ONNX graph")
    traced = subject.graph()
    sites = check_sites(traced.model)
    graph = prepare(traced.model, subject.opset, step.simplify, step.lowering)
    with explained(target):
        write_model(graph, step.file)
    facts = _facts(subject, traced.notes, sites, step)
    # The weights' last holders: freed before ONNX Runtime loads its own copy.
    del subject, traced, graph
    gc.collect()
    step.progress("validating in ONNX Runtime")
    with OnnxRunner(step.file, as_written=True) as runner:
        report = compare(recording, runner, step.precision)
    return _Written(facts, sites, runner.inputs, runner.outputs, report)


def _make_half(subject: Subject, step: _Step, target: Path) -> _Written:
    """Write the graph in a half type, and prove it right, outside and inside."""
    step.progress("making the float32 graph")
    traced = subject.graph()
    sites = check_sites(traced.model)
    cases = cases_for(subject.shapes, step.precision)
    with _workspace(target) as folder:
        original = conversion.keep_original(traced.model, subject.opset, step.lowering, folder)
        step.progress("computing what the precision must cost")
        with subject.reference() as runner:
            reference = conversion.record_half(original, runner, cases, step.precision)
        step.progress(f"converting to {step.precision}")
        notes = conversion.convert_half(
            original, step.precision, step.keep_io, step.lowering, step.simplify, step.file
        )
        facts = _facts(subject, (*traced.notes, *notes), sites, step)
        step.progress("judging every gate, layer and output")
        report = conversion.judge_half(reference, original, step.file, step.precision)
    inputs, outputs = interface(read_model(step.file))
    return _Written(facts, sites, inputs, outputs, report)


def _make_int8(
    subject: Subject, calibration: conversion.Calibration, step: _Step, target: Path
) -> _Written:
    """Write the graph in float32, prove it, quantise it, and prove that."""
    step.progress("computing reference outputs")
    recording = _record(subject)
    step.progress("making the float32 graph")
    traced = subject.graph()
    sites = check_sites(traced.model)
    graph = prepare(traced.model, subject.opset, step.simplify, step.lowering)
    inputs, outputs = interface(graph)
    dataset = calibration.open(inputs)
    with _workspace(target) as folder:
        float32 = folder / "float32.onnx"
        write_model(graph, float32)
        quantised = conversion.convert_int8(float32, dataset, step.file, step.progress)
        step.progress("judging every gate, quantised tensor and output")
        judged = calibration.open(inputs, conversion.JUDGED)
        report = conversion.judge_int8(recording, float32, step.file, judged, quantised)
    left = f"{quantised.layers} layers in int8; in float32 {', '.join(quantised.kept)}"
    facts = _facts(subject, (*traced.notes, *quantised.notes, left), sites, step)
    return _Written(facts | {"calibration": quantised.calibration}, sites, inputs, outputs, report)


@contextlib.contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """Yield a folder for what is needed on the way, on the target's file system.

    Raises:
        InputError: The disk is full.
    """
    with explained(target), tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
        yield Path(folder)


def _record(subject: Subject) -> Recording:
    """Run the source on every validation case, and once more with its rounding disturbed."""
    cases = cases_for(subject.shapes, subject.precision)
    with subject.reference() as reference, subject.shaken() as shaken:
        return record(reference, shaken, cases)


def _facts(
    subject: Subject, notes: Sequence[str], sites: tuple[SimamSite, ...], step: _Step
) -> dict[str, Any]:
    """Give the facts that the manifest will state."""
    return {
        **subject.facts,
        **_lambda_facts(subject.e_lambda, sites),
        "simam_sites": [asdict(site) for site in sites],
        "lowering": step.lowering,
        "precision": step.precision,
        "opset": subject.opset,
        "notes": [*subject.notes, *notes],
    }


def _lambda_facts(chosen: Lambda | None, sites: tuple[SimamSite, ...]) -> dict[str, Any]:
    """State the lambda that was chosen, or what all sites of a graph have, or that they differ."""
    if chosen is not None:
        return {"e_lambda": chosen.value, "e_lambda_source": chosen.source}
    values = {site.e_lambda for site in sites}
    if len(values) == 1:
        return {"e_lambda": values.pop(), "e_lambda_source": "read from the graph"}
    return {"e_lambda": None, "e_lambda_source": "read from the graph, different by site"}


def _reject_failed(report: ValidationReport, target: Path) -> None:
    """Leave the report where a failed file would have had its manifest.

    Raises:
        ValidationError: The report did not pass.
    """
    if report.passed:
        return
    path = target.with_suffix(".failed.json")
    with explained(path):
        manifest.write_json(path, report.details())
    raise ValidationError(
        f"{target.name} was not written: {describe_failure(report)}; all figures are in {path}"
    )

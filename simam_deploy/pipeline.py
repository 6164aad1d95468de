"""The order of the steps, one function a command, read top to bottom."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simam_deploy import manifest
from simam_deploy.artifacts import OnnxArtifact, SimamSite, ValidationReport
from simam_deploy.errors import UsageError, ValidationError
from simam_deploy.graph import prepare
from simam_deploy.graph.lowerings import choose_lowering
from simam_deploy.graph.sites import check_sites
from simam_deploy.graph.write import write_model
from simam_deploy.plan import Lambda
from simam_deploy.runtime.onnx_runner import OnnxRunner, require_onnxruntime
from simam_deploy.sources import Options, Subject, Traced, load_subject
from simam_deploy.staging import explained, publish, staging_folder
from simam_deploy.validate import Recording, cases_for, compare, record

Progress = Callable[[str], None]
"""Called with a few words before each step that takes time."""

OPSETS = range(13, 24)
_SUFFIXES = (".tar", ".pth", ".pt", ".pt2", ".safetensors", ".bin", ".ckpt", ".onnx")


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
        opset: 13 to 23; by default 18, or an .onnx file's own.
        input_names: Name of the graph's input, alone in a sequence.
        output_names: Names of the graph's outputs.
        lowering: What SimAM becomes: "auto", "portable", "flat", "function", "instancenorm" or
            "plugin".
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
        input_names=input_names,
        output_names=output_names,
        trust_pickle=trust_pickle,
    )
    target = _target(Path(source), output, opset)
    lowering = choose_lowering(lowering, opset)
    require_onnxruntime()
    with staging_folder(target) as stage:
        file = stage / target.name
        progress("reading the network")
        subject = load_subject(Path(source), options)
        choose_lowering(lowering, subject.opset)  # an .onnx file may bring an older opset
        progress("computing reference outputs")
        recording = _record(subject)
        progress("making the ONNX graph")
        facts, sites = _write(subject, lowering, simplify, file, target)
        precision = subject.precision
        # The weights' last holder: freed before ONNX Runtime loads its own copy.
        del subject
        gc.collect()
        progress("validating in ONNX Runtime")
        with OnnxRunner(file, as_written=True) as runner:
            report = compare(recording, runner, precision)
        _reject_failed(report, target)
        with explained(target):
            facts |= {"validation": report.summary()}
            manifest.seal(file, facts)
            publish(stage, target)
    return OnnxArtifact(
        path=target,
        manifest_path=manifest.manifest_path(target),
        arch=facts["arch"],
        e_lambda=facts["e_lambda"],
        e_lambda_source=facts["e_lambda_source"],
        sites=sites,
        lowering=lowering,
        opset=facts["opset"],
        size=sum(p.stat().st_size for p in manifest.parts(target)),
        inputs=runner.inputs,
        outputs=runner.outputs,
        validation=report,
        notes=tuple(facts["notes"]),
        seconds=time.perf_counter() - started,
    )


def _target(source: Path, output: str | os.PathLike[str] | None, opset: int | None) -> Path:
    """Check what can be checked before any work and say where the file goes.

    Raises:
        UsageError: The opset is out of range, or the output is not named .onnx or is the source.
    """
    if opset is not None and opset not in OPSETS:
        raise UsageError(f"--opset must be {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    stem = source.name
    while Path(stem).suffix.lower() in _SUFFIXES:
        stem = Path(stem).stem
    target = Path(output) if output is not None else source.parent
    if output is None or target.is_dir():
        target = target / f"{stem}.onnx"
    if target.suffix != ".onnx":
        raise UsageError(f"the output must be named .onnx or be an existing folder, got {target}")
    if target.resolve() == source.resolve():
        raise UsageError(f"{source.name} would be overwritten: name another file with --output")
    return target


def _record(subject: Subject) -> Recording:
    """Run the source on every validation case, and once more with its rounding disturbed."""
    cases = cases_for(subject.shapes, subject.precision)
    with subject.reference() as reference, subject.shaken() as shaken:
        return record(reference, shaken, cases)


def _write(
    subject: Subject, lowering: str, simplify: bool, file: Path, target: Path
) -> tuple[dict[str, Any], tuple[SimamSite, ...]]:
    """Make the graph, write it to `file`, and give what the manifest will state of `target`."""
    traced = subject.graph()
    sites = check_sites(traced.model)
    graph = prepare(traced.model, subject.opset, simplify, lowering)
    with explained(target):
        write_model(graph, file)
    return _facts(subject, traced, sites, lowering), sites


def _facts(
    subject: Subject, traced: Traced, sites: tuple[SimamSite, ...], lowering: str
) -> dict[str, Any]:
    """Give the facts that the manifest will state."""
    return {
        **subject.facts,
        **_lambda_facts(subject.e_lambda, sites),
        "simam_sites": [asdict(site) for site in sites],
        "lowering": lowering,
        "precision": subject.precision,
        "opset": subject.opset,
        "notes": [*subject.notes, *traced.notes],
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
    worst = report.worst
    found = worst.reason or f"off by {worst.max_rel:.1e} of the largest value"
    raise ValidationError(
        f"{target.name} was not written: output {worst.output} of case '{worst.case}' is {found} "
        f"(allowed {worst.allowed:.0e}); all figures are in {path}"
    )

"""The order of the steps, one function a command, read top to bottom."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simam_deploy import manifest
from simam_deploy.artifacts import OnnxArtifact, SimamSite, TensorSpec, ValidationReport
from simam_deploy.errors import UsageError, ValidationError
from simam_deploy.runtime.onnx_runner import OnnxRunner, require_onnxruntime
from simam_deploy.staging import explained, publish, staging_folder
from simam_deploy.validate import Recording, cases_for, compare, record

if TYPE_CHECKING:
    import onnx_ir as ir

    from simam_deploy.subject import Subject

Progress = Callable[[str], None]
"""Called with a few words before each step that takes time."""

DEFAULT_OPSET, OPSETS = 18, range(13, 24)
_SUFFIXES = (".tar", ".pth", ".pt", ".safetensors", ".bin", ".ckpt")


def export_onnx(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    arch: str | None = None,
    e_lambda: float | None = None,
    dynamic: str | None = None,
    input_shape: Sequence[int] | None = None,
    opset: int = DEFAULT_OPSET,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    lowering: str = "auto",
    simplify: bool = True,
    trust_pickle: bool = False,
    progress: Progress = lambda step: None,
) -> OnnxArtifact:
    """Export a SimAM checkpoint to a validated ONNX file with its manifest.

    Args:
        source: Checkpoint (.pth, .pth.tar, .pt, .safetensors).
        output: The .onnx to write, or an existing folder for it; by default beside the source.
        arch: Network name, needed only where the keys show no SimAM.
        e_lambda: SimAM's lambda; by default what the file or its folder says, else the
            family's published value.
        dynamic: "none", "batch" or "hw" (batch, height and width, or frames); by default
            "batch", and "hw" for audio.
        input_shape: Full shape, or the shape without the batch.
        opset: 13 to 23.
        input_names: Name of the graph's input, alone in a sequence.
        output_names: Names of the graph's outputs.
        lowering: What SimAM becomes: "auto", "portable", "flat", "function" or "instancenorm".
        simplify: Whether onnx-simplifier runs.
        trust_pickle: Whether the checkpoint may run code while it is loaded.
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
    target = _target(Path(source), output, opset)
    lowering = _lowering(lowering, opset)
    require_onnxruntime()
    with staging_folder(target) as stage:
        file = stage / target.name
        progress("reading the checkpoint")
        from simam_deploy.subject import load_subject

        subject = load_subject(
            Path(source),
            arch=arch,
            e_lambda=e_lambda,
            dynamic=dynamic,
            input_shape=input_shape,
            input_names=input_names,
            output_names=output_names,
            trust_pickle=trust_pickle,
        )
        progress("computing reference outputs in PyTorch")
        recording = _record(subject)
        progress("tracing to ONNX")
        graph, sites = _trace(subject, opset, simplify, lowering)
        with explained(target):
            facts = _write(subject, graph, sites, lowering, file)
        # The weights twice over (checkpoint and BN-folded), freed before a third copy loads.
        del subject, graph
        gc.collect()
        progress("validating in ONNX Runtime")
        with OnnxRunner(file, as_written=True) as runner:
            report = compare(recording, runner)
            inputs, outputs = runner.inputs, runner.outputs
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
        opset=opset,
        size=sum(p.stat().st_size for p in manifest.parts(target)),
        inputs=inputs,
        outputs=outputs,
        validation=report,
        notes=tuple(facts["notes"]),
        seconds=time.perf_counter() - started,
    )


def _target(source: Path, output: str | os.PathLike[str] | None, opset: int) -> Path:
    """Check what can be checked before any work and say where the file goes.

    Raises:
        UsageError: The opset is out of range or the output is not named .onnx.
    """
    if opset not in OPSETS:
        raise UsageError(f"--opset must be {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    stem = source.name
    while Path(stem).suffix.lower() in _SUFFIXES:
        stem = Path(stem).stem
    target = Path(output) if output is not None else source.parent
    if output is None or target.is_dir():
        target = target / f"{stem}.onnx"
    if target.suffix != ".onnx":
        raise UsageError(f"the output must be named .onnx or be an existing folder, got {target}")
    return target


def _record(subject: Subject) -> Recording:
    """Run the network on every validation case."""
    from simam_deploy.runtime.torch_runner import TorchRunner

    outputs = tuple(TensorSpec(name, "float32", ()) for name in subject.output_names)
    cases = cases_for(subject.plan.validation_shapes(subject.smallest))
    model, inputs = subject.model, (subject.plan.spec,)
    with (
        TorchRunner(model, inputs, outputs) as reference,
        TorchRunner(model, inputs, outputs, rounding_noise=2**-23) as shaken,
    ):
        return record(reference, shaken, cases)


def _lowering(name: str, opset: int) -> str:
    """Decide on the lowering before any work.

    Raises:
        UsageError: There is none of that name, or the opset is too old for it.
    """
    from simam_deploy.graph.lowerings import choose_lowering

    return choose_lowering(name, opset)


def _trace(
    subject: Subject, opset: int, simplify: bool, lowering: str
) -> tuple[ir.Model, tuple[SimamSite, ...]]:
    """Trace the network, note its SimAM sites, and run the graph passes."""
    from simam_deploy.export import trace
    from simam_deploy.graph import prepare
    from simam_deploy.graph.sites import describe_sites

    plan = subject.plan
    graph = trace(subject.model, (plan.spec,), subject.output_names, plan.trace_sizes, opset)
    sites = describe_sites(graph)
    return prepare(graph, opset, simplify, lowering), sites


def _write(
    subject: Subject, graph: ir.Model, sites: tuple[SimamSite, ...], lowering: str, file: Path
) -> dict[str, Any]:
    """Write the graph and give the facts that its manifest will state."""
    from simam_deploy.graph.write import write_model

    write_model(graph, file)
    return {
        "arch": subject.identity.network.name,
        "num_outputs": subject.identity.num_outputs,
        "e_lambda": subject.e_lambda.value,
        "e_lambda_source": subject.e_lambda.source,
        "simam_sites": [{"name": s.name, "shape": list(s.shape)} for s in sites],
        "lowering": lowering,
        "precision": "fp32",
        "opset": graph.opset_imports[""],
        "smallest_input": list(subject.smallest),
        "preprocessing": dict(subject.identity.network.family.preprocessing),
        "source": subject.source,
        "notes": list(subject.notes),
    }


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

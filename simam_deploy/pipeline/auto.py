"""`--precision auto`: fp16, unless int8 or fp8 is better by measure and as accurate as is stated.

Every conversion is exported, proved and built in every form that a plan can have of SimAM, and the
best of them all is kept: by time on a GPU, else by launches, of those alike the smallest. int8 and
fp8 are made of the layers that pay, and of all. One that fails its proof, whose proof could not
have shown a fault, or that agrees with float32 on fewer samples than its precision is held to, is
not taken, and the manifest says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from simam_deploy.core.artifacts import EngineArtifact
from simam_deploy.core.manifest import write_manifest
from simam_deploy.core.specs import QUANTISED
from simam_deploy.engine.options import EngineOptions
from simam_deploy.engine.plan.manifest import artifact_of, read_manifest
from simam_deploy.engine.request import check_targets
from simam_deploy.engine.run.choose import Figures, best, measure
from simam_deploy.errors import InputError, SimamError, UsageError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.types import LEAST_OPSET, precision_of
from simam_deploy.pipeline.job import Job, rebuild_command
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.samples import open_dataset
from simam_deploy.source.samples.inputs import batch_of
from simam_deploy.source.subject import file_facts
from simam_deploy.verify.accuracy import BATCH
from simam_deploy.verify.candidate import open_candidate
from simam_deploy.verify.classes import compare_runners

BASIS = "fp16"
"""What is kept where nothing is better."""
PLACEMENTS = ("pays", "all")

Export = Callable[[Job, Path], Path]
"""Writes the .onnx of a job into a folder, proved."""
Build = Callable[[Job, Path, Path, Path], None]
"""Builds an .onnx in a folder, and leaves the plan at the last path."""


@dataclass(frozen=True)
class _Made:
    """A conversion and its plan; of one that is not taken the reason."""

    name: str
    artifact: EngineArtifact | None = None
    reason: str = ""


def build_auto(job: Job, stage: Path, plan: Path, export: Export, build: Build) -> None:
    """Build every precision, and leave the best at `plan`, its manifest saying why.

    Args:
        job: Whose precision is auto.
        stage: A folder for what is made on the way.
        plan: In an empty folder.
        export: Exports a job of one precision.
        build: Builds what was exported.

    Raises:
        SimamError: None can be built.
        UsageError: The source is not float32.
    """
    source = _float32(job, stage, export)
    made = []
    for precision, placement in _asked(job.engine):
        one = _job_of(job, source, precision, placement)
        name = precision if precision == BASIS else f"{precision} {placement}"
        folder = stage / name.replace(" ", "-")
        folder.mkdir()
        job.progress(f"trying {name}")
        made.append(_made(name, one, folder, export, build))
    _keep(job, made, plan)


def _asked(engine: EngineOptions) -> Iterator[tuple[str, str]]:
    """Name what is tried: precisions, each with which layers."""
    yield BASIS, "all"
    for precision in QUANTISED:
        try:
            check_targets(precision, engine.targets)
        except UsageError:  # GPUs without it
            continue
        for placement in PLACEMENTS:
            yield precision, placement


def _float32(job: Job, stage: Path, export: Export) -> Path:
    """Give the float32 .onnx that all conversions are made of."""
    if job.source.suffix.lower() == ".onnx":
        precision = precision_of(read_model(job.source))
        if precision != "fp32":
            raise UsageError(
                f"{job.source.name} is {precision}: auto chooses among what float32 can become",
                options=("precision",),
            )
        return job.source
    folder = stage / "float32"
    folder.mkdir()
    opset = job.engine.opset or LEAST_OPSET["fp8"]
    plain = replace(job.engine, precision=None, calibration_data=None, opset=opset)
    return export(replace(job, engine=plain), folder)


def _job_of(job: Job, source: Path, precision: str, placement: str) -> Job:
    """Ask for one precision of the float32 file, which says itself what its network is."""
    data = job.engine.calibration_data if precision in QUANTISED else None
    opset = job.engine.opset or (LEAST_OPSET["fp8"] if precision == "fp8" else None)
    asked = replace(
        job.engine, precision=precision, calibration_data=data, quantize=placement, opset=opset
    )
    network = job.network if source == job.source else NetworkOptions()
    return replace(job, source=source, engine=asked, network=network)


def _made(name: str, job: Job, folder: Path, export: Export, build: Build) -> _Made:
    """Export and build one; whatever is wrong with it is a reason not to take it."""
    plan = folder / "plan" / job.target.name
    plan.parent.mkdir()
    try:
        onnx = export(job, folder)
        reason = _unfit(job, onnx)
        if reason:
            return _Made(name, reason=reason)
        build(job, onnx, folder, plan)
    except SimamError as error:
        return _Made(name, reason=str(error))
    return _Made(name, artifact_of(plan, read_manifest(plan), False, 0.0))


def _unfit(job: Job, onnx: Path) -> str:
    """Say that a conversion is not proved, or agrees with float32 on too few of the samples.

    Of outputs that are neither classes nor boxes the proof of its export is what there is.
    """
    if job.engine.calibration_data is None:
        return ""
    exact, candidate = open_candidate(job.source), open_candidate(onnx)
    if candidate.facts.get("validation", {}).get("proved") is False:
        return "it is not proved: what it was compared on could not have shown a fault"
    samples = open_dataset(
        Path(job.engine.calibration_data),
        exact.inputs,
        candidate.facts.get("preprocessing"),
        limit=job.engine.calibration_samples,
    )
    batch = batch_of(exact.inputs) or BATCH
    with exact.runner() as one, candidate.runner() as other:
        try:
            found = compare_runners((one, other), candidate.precision, samples, batch, job.progress)
        except InputError:
            return ""
    if found.passed:
        return ""
    return (
        f"it agrees with float32 on {found.agreement:.1%} of the samples, and "
        f"{found.required:.1%} is stated"
    )


def _keep(job: Job, made: Sequence[_Made], plan: Path) -> None:
    """Leave the best of what was made, its manifest saying what was tried."""
    built = [each for each in made if each.artifact is not None]
    if not built:
        raise InputError(f"no precision can be built; {made[0].name}: {made[0].reason}")
    artifacts = [each.artifact for each in built if each.artifact is not None]
    figures = measure(artifacts)
    kept = best(figures)
    for file in artifacts[kept].path.parent.iterdir():
        file.replace(plan.parent / file.name)  # both lie in the stage
    document = read_manifest(plan)
    told = [
        {"conversion": each.name, **asdict(figure)}
        for each, figure in zip(built, figures, strict=True)
    ]
    refused = [f"not {each.name}: {each.reason}" for each in made if each.artifact is None]
    said = _verdict([each.name for each in built], figures, kept)
    facts = {
        **document,
        "source": file_facts(job.source),
        "command": rebuild_command(job),
        "candidates": told,
        "notes": [*document["notes"], said, *refused],
    }
    write_manifest(plan, [plan], facts)


def _verdict(names: Sequence[str], figures: Sequence[Figures], kept: int) -> str:
    """Say what auto kept, and why."""
    told = ", ".join(map(_figures, names, figures))
    quantised = any(names[kept].startswith(name) for name in QUANTISED)
    none = "" if quantised else "; neither int8 nor fp8 is better"
    timed = figures[0].milliseconds is not None
    how = "" if timed else "; by launches, then size: there is no GPU to time them"
    return f"auto kept {names[kept]}: {told}{none}{how}"


def _figures(name: str, of: Figures) -> str:
    if of.milliseconds is not None:
        return f"{name} {of.milliseconds:.3f} ms"
    launches = "unknown" if of.launches is None else str(of.launches)
    return f"{name} {launches} launches, {of.size / 1e6:.1f} MB"

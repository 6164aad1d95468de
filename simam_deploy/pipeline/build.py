"""From any source to an engine: the order of the steps, read top to bottom."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from simam_deploy.core.artifacts import EngineArtifact
from simam_deploy.core.conversion import AUTO, ConversionOptions
from simam_deploy.core.files import parts
from simam_deploy.core.labels import check_number
from simam_deploy.core.manifest import tool_versions
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import Shapes
from simam_deploy.core.staging import explained, publish, staging_folder
from simam_deploy.engine.build.build import build_engine
from simam_deploy.engine.build.prepare import Recognised, recognise_file
from simam_deploy.engine.options import EngineOptions
from simam_deploy.engine.plan.manifest import artifact_of, read_manifest
from simam_deploy.engine.profiles import Pictures, default_profile, given_profiles
from simam_deploy.engine.request import BuildRequest
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.types import precision_of
from simam_deploy.pipeline.auto import build_auto
from simam_deploy.pipeline.candidates import OF_FREE_SIDES, PLUGIN, WITHOUT_PLUGIN, build_best
from simam_deploy.pipeline.export import export_onnx
from simam_deploy.pipeline.job import Job, decide, rebuild_command
from simam_deploy.pipeline.kept import through_cache
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.source.asked import asked_preprocessing, overruled
from simam_deploy.source.onnx_file import baked_batch, baked_note
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.samples.preparation import made_size
from simam_deploy.source.stated.of_onnx import add_metadata
from simam_deploy.source.subject import file_facts
from simam_deploy.verify.plan import prove


def build(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    engine: EngineOptions | None = None,
    network: NetworkOptions | None = None,
    *,
    progress: Progress = lambda step: None,
) -> EngineArtifact:
    """Build an engine from an .onnx, or from whatever `export_onnx` takes.

    Args:
        source: The file. A checkpoint, or an .onnx of another precision than asked, is first
            exported, and validated, in the staging folder.
        output: The plan to write, or a folder (a new one ends in a slash); by
            default beside the source.
        engine: What is asked of the engine.
        network: What is said of a checkpoint; an .onnx states its own.
        progress: Told each step.

    Returns:
        The artifact. Beside the plan lie its manifest (.engine.json) and TensorRT's log.

    Raises:
        InputError: The source cannot be used, TensorRT does not take it or is not installed, or
            the output cannot be written.
        UsageError: The options contradict each other, the network or the flavour.
        ValidationError: The plan is other than asked, or does not compute what the graph does.
    """
    started = time.perf_counter()
    asked = engine or EngineOptions(), network or NetworkOptions()
    job = decide(Path(source), output, *asked, progress)
    with staging_folder(job.target) as stage:
        plan = stage / "plan" / job.target.name
        plan.parent.mkdir()
        kept, notes = through_cache(job, plan, lambda: _build(job, stage, plan))
        document = read_manifest(plan)
        with explained(job.target):
            publish(plan.parent, job.target)
    artifact = artifact_of(job.target, document, kept, time.perf_counter() - started)
    return replace(artifact, notes=(*artifact.notes, *notes))


def _build(job: Job, stage: Path, plan: Path) -> None:
    """Build the plan: as asked for, or as whatever is best of what can be built."""
    if job.engine.precision == AUTO:
        build_auto(job, stage, plan, _exported, _build_file)
    else:
        _build_file(job, _checked(job) if _is_ready(job) else _exported(job, stage), stage, plan)


def _build_file(job: Job, onnx: Path, stage: Path, plan: Path) -> None:
    """Build an .onnx in every form that there is, and leave the best."""
    job.progress("preparing the graph")
    batch = None if any(_profiles(job.engine)) else baked_batch(onnx)
    with explained(job.target):
        given = _recognised(onnx, batch)
    forms = _forms(job, given)
    if len(forms) == 1:
        _build_one(job, onnx, given, plan, forms[0])
    else:
        build_best(
            forms, stage, plan, lambda form, target: _build_one(job, onnx, given, target, form)
        )


def _recognised(onnx: Path, batch: int | None) -> Recognised:
    """Read what every form of a plan is made of; `batch` is that of a graph that takes no other."""
    found, source = recognise_file(onnx, batch), read_model(onnx)
    facts = add_metadata(found.facts, source.metadata_props, *interface(source))
    baked = [] if batch is None else [baked_note(batch)]
    return replace(found, facts={**facts, "notes": [*facts["notes"], *baked]})


def _forms(job: Job, recognised: Recognised) -> tuple[str, ...]:
    """Name the lowerings to choose from: one where a plugin was asked for, or no SimAM is there."""
    if job.plugin is not None and job.engine.plugin != "auto":
        return (PLUGIN,)
    with_plugin = (PLUGIN,) if job.plugin is not None else ()
    if recognised.has_simam:
        forms = OF_FREE_SIDES if recognised.has_free_planes else WITHOUT_PLUGIN
        return (*forms, *with_plugin)
    if with_plugin and not recognised.has_operators:
        with_plugin = ()
    return (WITHOUT_PLUGIN[0], *with_plugin)


def _is_ready(job: Job) -> bool:
    """Tell whether the source is an .onnx in the precision and opset asked for."""
    if job.source.suffix.lower() != ".onnx":
        return False
    model, engine = read_model(job.source), job.engine
    own = precision_of(model)
    return engine.precision in (None, own) and engine.opset in (None, model.opset_imports[""])


def _checked(job: Job) -> Path:
    """Give a source that is built as it is, once what is said of it is known to fit.

    Raises:
        InputError: There are more or fewer names of classes than scores.
    """
    if job.classes:
        check_number(job.classes, interface(read_model(job.source))[1])
    return job.source


def _exported(job: Job, stage: Path) -> Path:
    """Export in the precision asked for, in plain ops, whose SimAM is lowered anew later."""
    engine = job.engine
    file = stage / f"{job.target.stem}.onnx"
    asked = {f.name: getattr(engine, f.name) for f in fields(ConversionOptions)}
    onnx = OnnxOptions(**asked, lowering="portable")
    export_onnx(job.source, file, onnx, job.network, progress=job.progress)
    return file


def _build_one(job: Job, onnx: Path, given: Recognised, plan: Path, form: str) -> EngineArtifact:
    """Write the graph in a form, build it, and hold the plan against the .onnx where a GPU is."""
    graph = plan.with_name(f"{job.target.stem}.onnx")  # the name that TensorRT's words hold
    with explained(job.target):
        facts = given.write(graph, form, job.flavour.detection)
    request = _request(job, graph, plan, job.plugin if form == PLUGIN else None, facts)
    artifact = build_engine(
        request,
        job.progress,
        facts={
            **_said(job, onnx, facts),
            "source": file_facts(job.source),
            "command": rebuild_command(job),
            "tools": tool_versions(),
        },
        accept=lambda built: prove(onnx, built, request, job.progress),
    )
    for part in parts(graph):
        part.unlink()
    return artifact


def _said(job: Job, onnx: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Put what was asked for in the place of what the graph states.

    Raises:
        UsageError: The recipe for pictures does not fit the graph's input.
    """
    classes = {"classes": list(job.classes)} if job.classes else {}
    recipe = job.network.preprocess
    if recipe is None:
        return {**facts, **classes}
    asked = facts["preprocessing"]
    if onnx == job.source:  # else its export has done as was asked
        (spec, *_), _ = interface(read_model(onnx))
        asked = asked_preprocessing(recipe, spec, spec.shape)
    notes, against = overruled(asked, facts.get("preprocessing"))
    contradictions = [*facts.get("contradictions", ()), *against]
    return {
        **facts,
        **classes,
        "preprocessing": asked,
        "notes": [*facts["notes"], *notes, *against],
        **({"contradictions": contradictions} if contradictions else {}),
    }


def _request(
    job: Job, graph: Path, plan: Path, plugin: Path | None, facts: Mapping[str, Any]
) -> BuildRequest:
    model = read_model(graph)
    inputs, _ = interface(model)
    engine = job.engine
    cache = engine.timing_cache
    given, pictures = _profiles(engine), _pictures(facts)
    return BuildRequest(
        onnx=graph,
        output=plan,
        flavour=job.flavour.name,
        precision=engine.precision or facts["precision"],
        targets=engine.targets,
        profiles=(
            given_profiles(inputs, *given, facts=facts, pictures=pictures)
            if any(given)
            else default_profile(inputs, facts, pictures)
        ),
        workspace=engine.workspace,
        timing_cache=None if cache is None else Path(cache).resolve(),
        plugin=plugin,
        tf32=engine.tf32,
    )


def _profiles(
    engine: EngineOptions,
) -> tuple[Sequence[Shapes], Sequence[Shapes], Sequence[Shapes]]:
    return engine.min_shapes, engine.opt_shapes, engine.max_shapes


def _pictures(facts: Mapping[str, Any]) -> Pictures:
    """Tell what pictures the network takes, by how they are prepared for it."""
    said = facts.get("preprocessing") or {}
    return Pictures(made_size(said), said.get("pad_divisor", 1))

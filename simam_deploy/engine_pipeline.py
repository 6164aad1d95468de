"""From any source to an engine: the order of the steps, read top to bottom."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from simam_deploy.artifacts import PRECISIONS, EngineArtifact
from simam_deploy.digest import sha256_of
from simam_deploy.engine import PLANS
from simam_deploy.engine.audit import main_precision, products_of
from simam_deploy.engine.build import build_engine
from simam_deploy.engine.cache import cache_folder, cache_key, entry_lock, fetch, store
from simam_deploy.engine.flavours import Flavour, choose_flavour, load_library
from simam_deploy.engine.locks import alone_in
from simam_deploy.engine.manifest import artifact_of, read_manifest, write_manifest
from simam_deploy.engine.prepare import prepare_graph
from simam_deploy.engine.profiles import Shapes, default_profile, given_profiles, shapes_text
from simam_deploy.engine.request import BuildRequest
from simam_deploy.engine_proof import compare_speed, prove
from simam_deploy.errors import EngineError, UsageError
from simam_deploy.gpu import find_gpus
from simam_deploy.graph.interface import interface
from simam_deploy.graph.read import read_model
from simam_deploy.manifest import parts, tool_versions
from simam_deploy.naming import stem_of
from simam_deploy.pipeline import Progress, export_onnx
from simam_deploy.plugin import find_kernels, find_plugin, is_kernels
from simam_deploy.sources import Options
from simam_deploy.sources.subject import file_facts
from simam_deploy.staging import explained, publish, staging_folder

SUFFIX = ".engine"


@dataclass(frozen=True)
class EngineOptions:
    """What a user may ask of an engine.

    Attributes:
        precision: One of `PRECISIONS`; None for the graph's own.
        keep_io: Whether inputs and outputs stay float32 when a float32 graph becomes half.
        calibration_data: Samples for "int8" of a float32 source, as `export_onnx` takes them.
        backend: "auto", "tensorrt" or "rtx".
        targets: Compute capabilities as sm89, or "current"; none leaves it to the library.
        min_shapes: Least shapes by input, one mapping a profile; none is as `opt_shapes`.
        opt_shapes: Shapes to tune for; none at all gives a batch of 1 / 8 / 32.
        max_shapes: Largest shapes; none is as `opt_shapes`.
        workspace: Scratch memory in MiB.
        timing_cache: File of timings; TensorRT alone has one.
        plugin: "auto" keeps whichever is better, with or without; "never"; "aot", for kernels in
            the plan and no library where it runs, in TensorRT alone; or a library's path.
        tf32: Whether float32 products may be rounded to TF32.
        cache: Whether a plan that was built before is taken, and this one kept.
    """

    precision: str | None = None
    keep_io: bool = True
    calibration_data: Path | None = None
    backend: str = "auto"
    targets: tuple[str, ...] = ()
    min_shapes: tuple[Shapes, ...] = ()
    opt_shapes: tuple[Shapes, ...] = ()
    max_shapes: tuple[Shapes, ...] = ()
    workspace: int | None = None
    timing_cache: Path | None = None
    plugin: str = "auto"
    tf32: bool = False
    cache: bool = True


def build(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    engine: EngineOptions | None = None,
    network: Options | None = None,
    *,
    progress: Progress = lambda step: None,
) -> EngineArtifact:
    """Build an engine from an .onnx, or from whatever `export_onnx` takes.

    Args:
        source: The file. A checkpoint, or an .onnx of another precision than asked, is first
            exported, and validated, in the staging folder.
        output: The plan to write, or an existing folder; by default beside the source.
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
    job = _job(Path(source), output, engine or EngineOptions(), network or Options(), progress)
    with staging_folder(job.target) as stage:
        plan = stage / "plan" / job.target.name
        plan.parent.mkdir()
        kept, notes = _through_cache(job, plan, lambda: _build(job, stage, plan))
        with explained(job.target), alone_in(job.target.parent):
            publish(plan.parent, job.target)
            document = read_manifest(job.target)
    artifact = artifact_of(job.target, document, kept, time.perf_counter() - started)
    return replace(artifact, notes=(*artifact.notes, *notes))


@dataclass(frozen=True)
class _Job:
    """A build with everything decided that can be before any work."""

    source: Path
    target: Path
    engine: EngineOptions
    network: Options
    flavour: Flavour
    plugin: Path | None
    progress: Progress


def _job(
    source: Path,
    output: str | os.PathLike[str] | None,
    engine: EngineOptions,
    network: Options,
    progress: Progress,
) -> _Job:
    """Decide.

    Raises:
        InputError: The source is missing, or no TensorRT is installed.
        UsageError: The options contradict each other or the flavour.
    """
    target = _target(source, output)
    if engine.precision not in (None, *PRECISIONS):
        raise UsageError(f"--precision must be {', '.join(PRECISIONS)}; got {engine.precision!r}")
    if not source.exists():
        raise EngineError(f"cannot use {source}: no such file")
    flavour = choose_flavour(engine.backend, bool(find_gpus().devices))
    flavour.check(
        BuildRequest(source, target, flavour.name, targets=engine.targets,
                     timing_cache=engine.timing_cache)
    )  # fmt: skip
    load_library(flavour)
    return _Job(source, target, engine, network, flavour, _plugin(engine, flavour), progress)


def _target(source: Path, output: str | os.PathLike[str] | None) -> Path:
    """Say where the plan goes.

    Raises:
        UsageError: The output has a name of another kind, or is the source.
    """
    target = Path(output) if output is not None else source.parent
    if output is None or target.is_dir():
        target = target / f"{stem_of(source)}{SUFFIX}"
    if target.suffix not in PLANS:
        raise UsageError(
            f"the output must be named .engine, .plan or .trt, or be an existing folder, "
            f"got {target}"
        )
    return target


def _plugin(engine: EngineOptions, flavour: Flavour) -> Path | None:
    """Give the plugin library, or the kernels, to build with.

    Raises:
        EngineError: The one named is not there.
        UsageError: The flavour has no ahead-of-time plugins.
    """
    if engine.plugin == "auto":
        return find_plugin(flavour.name)
    if engine.plugin == "never":
        return None
    path = find_kernels() if engine.plugin == "aot" else Path(engine.plugin).resolve()
    if engine.plugin == "aot" or is_kernels(engine.plugin):
        _check_ahead_of_time(flavour)
    if path is None:
        raise EngineError(
            "there are no kernels for --plugin aot: make them by scripts/build_plugin"
        )
    if not path.is_file():
        raise EngineError(
            f"there is no plugin {path}; --plugin takes auto, never, aot or a library"
        )
    return path


def _check_ahead_of_time(flavour: Flavour) -> None:
    """Refuse a flavour without ahead-of-time plugins.

    Raises:
        UsageError: For all but TensorRT.
    """
    if flavour.backend != "tensorrt":
        raise UsageError(
            f"{flavour.title} has no ahead-of-time plugins: take --backend tensorrt, or "
            "--plugin auto"
        )


def _through_cache(job: _Job, plan: Path, make: Callable[[], None]) -> tuple[bool, tuple[str, ...]]:
    """Put the plan of a job at `plan`: the one that was kept, or a new one.

    Returns:
        Whether it was kept, and a line on what is wrong with the cache.
    """
    key, folder = _key(job), cache_folder()
    if key is None:
        make()
        return False, ()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(entry_lock(folder, key))
        except OSError as error:
            make()
            return False, (f"built without the cache {folder}: {error.strerror}",)
        with explained(job.target):
            if fetch(folder, key, plan):
                return True, ()
        make()
        try:
            store(folder, key, plan)
        except OSError as error:
            return False, (f"not kept in the cache {folder}: {error.strerror}",)
    return False, ()


def _key(job: _Job) -> str | None:
    """Hash what the plan depends on; None where code of the user's or samples take part."""
    if not job.engine.cache or job.network.model or job.network.trust_pickle:
        return None
    if job.engine.calibration_data is not None:
        return None
    gpus = find_gpus()
    ahead = job.flavour.target_names(job.engine.targets) != ("current",)
    return cache_key(
        {
            "source": [sha256_of(part) for part in parts(job.source)],
            "place": str(job.source.resolve()),  # a folder's name may state lambda
            "engine": {**asdict(job.engine), "timing_cache": str(job.engine.timing_cache)},
            "network": asdict(job.network),
            "flavour": [job.flavour.name, load_library(job.flavour).__version__],
            "gpu": None if ahead else [gpus.cuda, *(asdict(d) for d in gpus.devices[:1])],
            "plugin": job.plugin and sha256_of(job.plugin),
            "tools": tool_versions(),
        }
    )


def _build(job: _Job, stage: Path, plan: Path) -> None:
    """Build the plan; with a plugin that nobody asked for by name, only if that is better."""
    onnx = job.source if _is_ready(job) else _exported(job, stage)
    if job.plugin is None or job.engine.plugin != "auto":
        _build_one(job, onnx, plan, job.plugin)
        return
    bare = stage / "bare" / plan.name
    bare.parent.mkdir()
    without = _build_one(job, onnx, bare, None)
    try:
        with_plugin = _build_one(job, onnx, plan, job.plugin)
    except (EngineError, UsageError) as error:  # a plugin of another version, an opset below 18
        _keep(bare, plan, f"without the plugin, which cannot be built in: {error}")
        return
    better, verdict = compare_speed(with_plugin, without)
    _keep(plan if better is with_plugin else bare, plan, verdict)


def _is_ready(job: _Job) -> bool:
    """Tell whether the source is an .onnx in the precision asked for."""
    if job.source.suffix.lower() != ".onnx":
        return False
    own = main_precision(products_of(read_model(job.source)))
    return job.engine.precision in (None, own)


def _exported(job: _Job, stage: Path) -> Path:
    """Export in the precision asked for, in plain ops, whose SimAM is lowered anew later."""
    network, engine = job.network, job.engine
    file = stage / f"{job.target.stem}.onnx"
    export_onnx(
        job.source,
        file,
        arch=network.arch,
        model=network.model,
        e_lambda=network.e_lambda,
        dynamic=network.dynamic,
        input_shape=network.input_shape,
        opset=network.opset,
        input_names=network.input_names,
        output_names=network.output_names,
        precision=engine.precision,
        keep_io=engine.keep_io,
        calibration_data=engine.calibration_data,
        lowering="portable",
        trust_pickle=network.trust_pickle,
        progress=job.progress,
    )
    return file


def _build_one(job: _Job, onnx: Path, plan: Path, plugin: Path | None) -> EngineArtifact:
    """Prepare the graph, build it, and hold the plan against the ONNX file where a GPU is."""
    graph = plan.with_name(f"{job.target.stem}.onnx")  # the name that TensorRT's words hold
    job.progress("preparing the graph")
    with explained(job.target):
        facts = prepare_graph(onnx, graph, plugin is not None)
    request = _request(job, graph, plan, plugin, facts)
    artifact = build_engine(
        request,
        job.progress,
        facts={
            **facts,
            "source": file_facts(job.source),
            "command": _command(job),
            "tools": tool_versions(),
        },
        accept=lambda built: prove(onnx, built, request, job.progress),
    )
    for part in parts(graph):
        part.unlink()
    return artifact


def _request(
    job: _Job, graph: Path, plan: Path, plugin: Path | None, facts: Mapping[str, Any]
) -> BuildRequest:
    model = read_model(graph)
    inputs, _ = interface(model)
    engine = job.engine
    given = engine.min_shapes, engine.opt_shapes, engine.max_shapes
    return BuildRequest(
        onnx=graph,
        output=plan,
        flavour=job.flavour.name,
        precision=engine.precision or facts["precision"],
        targets=engine.targets,
        profiles=given_profiles(inputs, *given) if any(given) else default_profile(inputs, facts),
        workspace=engine.workspace,
        timing_cache=engine.timing_cache and engine.timing_cache.resolve(),
        plugin=plugin,
        tf32=engine.tf32,
    )


def _keep(kept: Path, plan: Path, verdict: str) -> None:
    """Leave the better of two plans, with its manifest and log, and say in it why."""
    if kept != plan:
        for file in kept.parent.iterdir():
            file.replace(plan.parent / file.name)
    document = read_manifest(plan)
    write_manifest(plan, {**document, "notes": [*document["notes"], verdict]})


def _command(job: _Job) -> str:
    """Word the command that builds this plan again."""
    engine, network = job.engine, job.network
    values: dict[str, Any] = {
        "-o": job.target.name,
        "--precision": engine.precision,
        "--calibration-data": engine.calibration_data,
        "--backend": job.flavour.backend,
        "--target": ",".join(engine.targets),
        "--workspace": engine.workspace,
        "--timing-cache": engine.timing_cache,
        "--plugin": None if engine.plugin == "auto" else engine.plugin,
        "--arch": network.arch,
        "--model": network.model,
        "--lambda": network.e_lambda,
        "--dynamic": network.dynamic,
        "--input-shape": network.input_shape and "x".join(map(str, network.input_shape)),
    }
    words = ["simam-build", job.source.name]
    for flag, value in values.items():
        words += [flag, str(value)] if value not in (None, "") else []
    for flag, shapes in (("min", engine.min_shapes), ("opt", engine.opt_shapes),
                         ("max", engine.max_shapes)):  # fmt: skip
        words += [word for given in shapes for word in (f"--{flag}-shapes", shapes_text(given))]
    switches = {"--tf32": engine.tf32, "--no-keep-io": not engine.keep_io,
                "--trust-pickle": network.trust_pickle}  # fmt: skip
    return shlex.join([*words, *(flag for flag, on in switches.items() if on)])

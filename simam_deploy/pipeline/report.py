"""Gather what a page says of an artifact: the order of the steps, read top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simam_deploy.bench.reading import read_bench
from simam_deploy.bench.records import BenchReport
from simam_deploy.core.artifacts import EngineArtifact, Manifest
from simam_deploy.core.files import PLANS, parts, sha256_of
from simam_deploy.core.manifest import read_artifact, read_facts
from simam_deploy.core.progress import Progress
from simam_deploy.core.validation import ValidationReport
from simam_deploy.engine.plan.manifest import artifact_of
from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.outline import outline_of
from simam_deploy.pipeline.beside import files_beside
from simam_deploy.pipeline.gates_of import Shown, drawn, variants_of
from simam_deploy.pipeline.gathered import Drawing, Gathered
from simam_deploy.pipeline.inspect import inspect_onnx
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.pipeline.views import Views, look
from simam_deploy.source.options import NetworkOptions


@dataclass(frozen=True)
class Found:
    """What a command has found already, which need not be found again.

    Attributes:
        validation: Of the artifact, by an export or a comparison.
        bench: Of its models.
    """

    validation: ValidationReport | None = None
    bench: BenchReport | None = None


@dataclass(frozen=True)
class Files:
    """What a user hands in, by its kind.

    Attributes:
        artifact: The .onnx or plan that the page is about.
        onnx: Others of the same network.
        plans: Of it.
        bench: A report of `simam-bench --json`.
        source: The checkpoint, or whatever else it was made of.
        image: A picture to look at.
    """

    artifact: Path
    onnx: tuple[Path, ...] = ()
    plans: tuple[Path, ...] = ()
    bench: Path | None = None
    source: Path | None = None
    image: Path | None = None


def sort_files(files: Sequence[Path], image: Path | None = None) -> Files:
    """Tell files by their suffix: the first .onnx is the artifact, without one the first plan.

    Raises:
        UsageError: There is neither, or there are two of what there can be one of.
    """
    onnx = [path for path in files if path.suffix.lower() == ".onnx"]
    plans = [path for path in files if path.suffix in PLANS]
    documents = [path for path in files if path.suffix == ".json"]
    sources = [path for path in files if path not in (*onnx, *plans, *documents)]
    if not onnx and not plans:
        raise UsageError("a report is about an .onnx or a plan: name one")
    for several, what in ((documents, "reports of simam-bench"), (sources, "sources")):
        if len(several) > 1:
            raise UsageError(f"there are {len(several)} {what}: name one")
    artifact, *others = [*onnx, *plans]
    return Files(
        artifact,
        tuple(path for path in others if path in onnx),
        tuple(path for path in others if path in plans),
        next(iter(documents), None),
        next(iter(sources), None),
        image,
    )


def gather(
    files: Files,
    network: NetworkOptions | None = None,
    found: Found | None = None,
    *,
    command: str = "",
    progress: Progress = lambda step: None,
) -> Gathered:
    """Gather what there is to say of an artifact, and of what lies beside it.

    Args:
        files: What is given. Other precisions and plans of the same source that lie beside the
            artifact are taken as well.
        network: What is said of the source, and of a picture and an input's free sizes.
        found: What is known already.
        command: Makes the page.
        progress: Told each step.

    Raises:
        InputError: A file cannot be used, or is not the one that its manifest describes.
        UsageError: An option does not fit.
        ValidationError: The artifact cannot be run, where its source is given.
    """
    network, found = network or NetworkOptions(), found or Found()
    artifact = files.artifact
    if not artifact.is_file():
        raise InputError(f"cannot use {artifact}: no such file")
    progress("reading the artifact")
    facts = read_facts(artifact)
    onnx, plans = _all_files(files, facts)
    drawing = Drawing(inspect_onnx(onnx[0]), outline_of(read_model(onnx[0]))) if onnx else None
    bench = read_bench(files.bench) if files.bench else found.bench
    views = _views(files, next(iter(onnx), artifact), network, progress)
    shown = _shown(onnx, network, views) if onnx else Shown({}, "")
    variants = variants_of(onnx, shown, progress) if onnx else ()
    judged = found.validation or _judged(files, network, progress)
    seen = variants[0].checks if onnx[:1] == (artifact,) else ()
    return Gathered(
        path=artifact,
        sha256=sha256_of(artifact),
        size=sum(part.stat().st_size for part in parts(artifact)),
        facts=facts,
        validation=facts.get("validation", {}) if judged is None else judged.summary(),
        compared="" if judged is None else judged.reference,
        drawing=drawing,
        variants=variants,
        shown=shown.words,
        gates=judged.gates if judged is not None and judged.gates else seen,
        engines=tuple(map(_engine, plans)),
        bench=bench,
        views=views,
        command=command,
    )


def _all_files(files: Files, facts: Manifest) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """List every .onnx and every plan, the artifact first, those that were given before others."""
    given = (files.artifact, *files.onnx, *files.plans)
    beside = [path for path in files_beside(files.artifact, facts) if path not in given]
    every = tuple(dict.fromkeys((*given, *beside)))
    plans = tuple(path for path in every if path.suffix in PLANS)
    return tuple(path for path in every if path not in plans), plans


def _views(files: Files, shown: Path, network: NetworkOptions, progress: Progress) -> Views | None:
    """Look at the picture, if one was given, by an .onnx; a plan shows nothing within."""
    if files.image is None:
        return None
    return look(files.image, shown, files.source, network, progress)


def _shown(onnx: Sequence[Path], network: NetworkOptions, views: Views | None) -> Shown:
    """Choose what the files are run on: the picture, else what is drawn."""
    if views is not None:
        return Shown(views.feeds, f"the picture {views.picture}")
    return drawn(read_model(onnx[0]), read_facts(onnx[0]), network.input_shape)


def _judged(files: Files, network: NetworkOptions, progress: Progress) -> ValidationReport | None:
    """Hold the artifact against its source, where that was given."""
    if files.source is None:
        return None
    return validate_models(files.source, files.artifact, network, progress=progress).validation


def _engine(plan: Path) -> EngineArtifact:
    return artifact_of(plan, read_artifact(plan).facts, cached=False, seconds=0.0)

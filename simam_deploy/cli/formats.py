"""What `simam export --format` writes: one function a format, told by the command's options."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from simam_deploy.cli.options import read_options
from simam_deploy.core.files import PLANS
from simam_deploy.core.manifest import find_manifest
from simam_deploy.core.progress import Progress
from simam_deploy.engine.options import EngineOptions
from simam_deploy.errors import UsageError
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.source.options import NetworkOptions, SampleOptions

if TYPE_CHECKING:
    from simam_deploy.core.artifacts import OnnxArtifact
    from simam_deploy.core.validation import ValidationReport
    from simam_deploy.serve.deploy import Deployment


class Made(NamedTuple):
    """What a format wrote.

    Attributes:
        document: For --json.
        table: For the terminal.
        path: Of an .onnx or plan; None of a deployment.
        validation: Of an .onnx, in full.
    """

    document: dict[str, Any]
    table: str
    path: Path | None = None
    validation: ValidationReport | None = None


def write_onnx(args: argparse.Namespace, progress: Progress) -> Made:
    """Write a validated .onnx and its manifest."""
    asked = read_options(OnnxOptions, args)
    artifact = _export(args, args.output, asked, progress)
    return _onnx(artifact)


def write_plugin(args: argparse.Namespace, progress: Progress) -> Made:
    """Write a validated .onnx whose SimAM nodes TensorRT takes for its plugin."""
    _refuse("plugin", {"--lowering": args.lowering != "auto"})
    asked = replace(read_options(OnnxOptions, args), lowering="plugin")
    artifact = _export(args, args.output, asked, progress)
    return _onnx(artifact)


def _onnx(artifact: OnnxArtifact) -> Made:
    from simam_deploy.report.text import export_table

    made = artifact.to_json(), export_table(artifact)
    return Made(*made, artifact.path, artifact.validation)


def _export(
    args: argparse.Namespace, output: str | Path | None, asked: OnnxOptions, progress: Progress
) -> OnnxArtifact:
    from simam_deploy.pipeline.export import export_onnx

    network = read_options(NetworkOptions, args)
    samples = read_options(SampleOptions, args)
    return export_onnx(args.source, output, asked, network, samples, progress=progress)


def write_engine(args: argparse.Namespace, progress: Progress) -> Made:
    """Write a TensorRT plan and its manifest, by the defaults of `simam-build`."""
    _refuse_graph("engine", args)
    return build_plan(args, progress)


def build_plan(args: argparse.Namespace, progress: Progress) -> Made:
    """Write a TensorRT plan and its manifest."""
    from simam_deploy.pipeline.build import build
    from simam_deploy.report.build_text import build_table

    engine, network = read_options(EngineOptions, args), read_options(NetworkOptions, args)
    artifact = build(args.source, args.output, engine, network, progress=progress)
    return Made(artifact.to_json(), build_table(artifact), artifact.path)


def write_epcontext(args: argparse.Namespace, progress: Progress) -> Made:
    """Write an .onnx around a TensorRT-RTX plan, by the defaults of `simam-build`."""
    _refuse_graph("epcontext", args)
    return build_context(args, progress)


def build_context(args: argparse.Namespace, progress: Progress) -> Made:
    """Write an .onnx around a TensorRT-RTX plan and its manifest."""
    from simam_deploy.pipeline.epcontext import build_epcontext
    from simam_deploy.report.build_text import context_table

    engine, network = read_options(EngineOptions, args), read_options(NetworkOptions, args)
    artifact = build_epcontext(args.source, args.output, engine, network, progress=progress)
    return Made(artifact.to_json(), context_table(artifact), artifact.path)


def write_triton(args: argparse.Namespace, progress: Progress) -> Made:
    """Write a model into a Triton model repository; a checkpoint is exported first."""
    from simam_deploy.serve.deploy import model_place
    from simam_deploy.serve.deploy import write_triton as write

    source = Path(args.source)
    output = Path(args.output or source.with_name("models"))
    model_place(args.name or _stem(source), output)  # before an export, which takes its time
    with _artifact(args, progress) as artifact:
        made = write(
            artifact, output, name=args.name, repository=args.repository, progress=progress
        )
        return _deployed(made)


def write_kserve(args: argparse.Namespace, progress: Progress) -> Made:
    """Write a KServe InferenceService for an artifact whose Triton repository lies somewhere."""
    from simam_deploy.serve.deploy import write_kserve as write

    if args.storage_uri is None:
        raise UsageError("--format kserve wants --storage-uri: where the Triton repository lies")
    artifact = Path(args.source)
    made = write(
        artifact, args.output, storage_uri=args.storage_uri, name=args.name, progress=progress
    )
    return _deployed(made)


@contextlib.contextmanager
def _artifact(args: argparse.Namespace, progress: Progress) -> Iterator[Path]:
    """Give the artifact to deploy: the source, or what is exported of it for the time being."""
    source = Path(args.source)
    if is_artifact(source):
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        stem = args.name or _stem(source)
        asked = read_options(OnnxOptions, args)
        yield _export(args, Path(folder) / f"{stem}.onnx", asked, progress).path


def _stem(source: Path) -> str:
    """Name a model by its file."""
    return source.stem if is_artifact(source) else source.name.split(".")[0]


def is_artifact(source: Path) -> bool:
    """Tell an artifact of ours, which has its manifest beside it, from a source.

    Raises:
        InputError: There is a manifest, which cannot be used.
    """
    has_one = source.suffix in (".onnx", *PLANS)
    return has_one and find_manifest(source) is not None


def _deployed(made: Deployment) -> Made:
    lines = [f"{made.path}", *(f"  {file}" for file in made.files)]
    table = "\n".join([*lines, *(f"  note: {note}" for note in made.notes)])
    return Made(made.to_json(), table)


def _refuse_graph(wanted: str, args: argparse.Namespace) -> None:
    """Refuse options of the graph, which a plan decides by itself.

    Raises:
        UsageError: One is given.
    """
    given = {"--lowering": args.lowering != "auto", "--no-simplify": not args.simplify}
    _refuse(wanted, given)


def _refuse(wanted: str, given: Mapping[str, bool]) -> None:
    """Refuse options that a format decides by itself.

    Raises:
        UsageError: One is given.
    """
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} does not apply to --format {wanted}, which chooses itself")


FORMATS: Mapping[str, Callable[[argparse.Namespace, Progress], Made]] = {
    "onnx": write_onnx,
    "plugin": write_plugin,
    "engine": write_engine,
    "epcontext": write_epcontext,
    "triton": write_triton,
    "kserve": write_kserve,
}

BUILT: Mapping[str, Callable[[argparse.Namespace, Progress], Made]] = {
    "plan": build_plan,
    "epcontext": build_context,
}
"""What `simam-build --format` writes."""

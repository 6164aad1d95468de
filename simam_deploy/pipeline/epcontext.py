"""From any source to an .onnx around its TensorRT-RTX plan, for ONNX Runtime's provider."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from simam_deploy.core.artifacts import ContextArtifact, Manifest
from simam_deploy.core.files import sha256_of, stem_of
from simam_deploy.core.manifest import manifest_path, write_manifest
from simam_deploy.core.place import place_of
from simam_deploy.core.progress import Progress
from simam_deploy.core.staging import explained, publish, staging_folder
from simam_deploy.engine.options import EngineOptions, build_command
from simam_deploy.engine.plan.epcontext import LARGEST, PROVIDER, write_context
from simam_deploy.engine.plan.manifest import read_manifest
from simam_deploy.errors import UsageError
from simam_deploy.pipeline.build import build
from simam_deploy.source.options import NetworkOptions

_SUFFIXES = ("_ctx.onnx", ".onnx")
"""The usual name is the one that ONNX Runtime gives such a file."""


def build_epcontext(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    engine: EngineOptions | None = None,
    network: NetworkOptions | None = None,
    *,
    progress: Progress = lambda step: None,
    largest: int = LARGEST,
) -> ContextArtifact:
    """Build a TensorRT-RTX plan, and an .onnx around it; no GPU is needed.

    Args:
        source: As `build` takes it.
        output: The .onnx, or a folder; by default NAME_ctx.onnx beside the source.
        engine: What is asked of the plan.
        network: What is said of a checkpoint.
        progress: Told each step.
        largest: Bytes of a plan that goes into the .onnx; a larger one goes beside it.

    Returns:
        The artifact; its manifest lies beside it.

    Raises:
        InputError: As `build`.
        UsageError: As `build`; or full TensorRT was asked for, whose plans the provider does not
            load.
        ValidationError: As `build`.
    """
    asked, said = engine or EngineOptions(), network or NetworkOptions()
    if asked.backend == "tensorrt":
        raise UsageError(
            f"{PROVIDER} loads plans of TensorRT-RTX alone: take that", options=("backend",)
        )
    target, asked = place_of(Path(source), output, _SUFFIXES), replace(asked, backend="rtx")
    with staging_folder(target) as stage:
        made = build(source, stage / f"{target.stem}.engine", asked, said, progress=progress)
        facts = read_manifest(made.path)
        (stage / "files").mkdir()
        file = stage / "files" / target.name
        with explained(target):
            made_of = f"{stem_of(Path(source))}.onnx"
            files = write_context(made.path, file, made_of, facts, largest)
            command = build_command(Path(source).name, target.name, asked, said)
            wrapped = {"provider": PROVIDER, "plan": sha256_of(made.path)}
            own = {"command": f"{command} --format epcontext", "epcontext": wrapped}
            write_manifest(file, files, {**_of_file(facts), **own})
            publish(file.parent, target)
    lie = tuple(target.with_name(each.name) for each in files)
    plan = replace(made, path=target, manifest_path=manifest_path(target))
    return ContextArtifact(target, lie, PROVIDER, plan)


def _of_file(facts: Manifest) -> Manifest:
    """Give a plan's facts without what a manifest says of its own files."""
    return {key: fact for key, fact in facts.items() if key not in ("schema", "kind", "files")}

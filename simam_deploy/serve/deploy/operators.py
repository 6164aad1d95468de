"""SimAM's operators for ONNX Runtime, carried by a model in a Triton repository.

Triton's onnxruntime backend hands `model_operations.op_library_filename` to ONNX Runtime's
RegisterCustomOpsLibrary as it stands (its src/onnxruntime.cc), which opens it as dlopen does: a
path is not looked for in the repository, and a library that is not there keeps the model from
loading. So it is named only where it is said where Triton has the repository, by an absolute path.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from simam_deploy.core.manifest import Artifact
from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.lower import WITH_FUNCTIONS
from simam_deploy.op.find import find_operators


@dataclass(frozen=True)
class Carried:
    """A library in a model's folder.

    Attributes:
        library: To be copied into it.
        path: Where Triton has it then.
        note: What an operator should know; "" for nothing.
    """

    library: Path
    path: str
    note: str


def carried(artifact: Artifact, name: str, device: str, repository: str) -> Carried:
    """Choose the library for a model.

    Args:
        artifact: The model.
        name: Its name in the repository.
        device: "gpu", "cpu", or "auto".
        repository: Where Triton has the repository.

    Raises:
        UsageError: The path is not absolute, or the model has no nodes that the operators compute.
        InputError: There is no such library here.
    """
    if not PurePosixPath(repository).is_absolute() or not repository.isprintable():
        raise UsageError(
            f"{repository!r:.200} is no absolute path: say where Triton has the repository",
            options=("repository",),
        )
    if artifact.facts.get("lowering") not in WITH_FUNCTIONS:
        raise UsageError(
            f"{artifact.path.name} has no nodes that SimAM's operators compute: export it with "
            "the lowering `function`",
            options=("repository",),
        )
    library, note = _library(device)
    return Carried(library, str(PurePosixPath(repository, name, library.name)), note)


def _library(device: str) -> tuple[Path, str]:
    """Find a library: the CUDA provider's has the CPU's operators too."""
    both = None if device == "cpu" else find_operators("cuda")
    if both is not None:
        return both, ""
    cpu = None if device == "gpu" else find_operators("cpu")
    if cpu is None:
        raise InputError(
            "SimAM's operators for ONNX Runtime are missing: scripts/build_plugin makes them, "
            "where ONNX Runtime's headers are"
        )
    alone = (
        "the operators are for CPUs alone: on a GPU, Triton copies every map to the CPU and back"
    )
    return cpu, "" if device == "cpu" else alone

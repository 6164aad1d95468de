"""What is to be measured: a file, and a way to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from simam_deploy.core.files import PLANS
from simam_deploy.core.specs import specs_from, specs_json
from simam_deploy.source.options import NetworkOptions

EAGER, COMPILE, ENGINE = "eager", "compile", "engine"
"""How a model is run; an .onnx by a key of `runtime.onnx_runner.PROVIDERS`."""


@dataclass(frozen=True)
class Asked:
    """A model, and how it is to be run.

    Attributes:
        path: Its file.
        how: `EAGER`, `COMPILE`, `ENGINE`, or a provider's short name.
        name: What reports call it; unlike all others'.
        network: What is said of it; an .onnx states its own.
        threads: That a run computes with.
        trust_engine: Whether a plan is loaded without its manifest's word.
    """

    path: Path
    how: str
    name: str
    network: NetworkOptions = field(default_factory=NetworkOptions)
    threads: int = 1
    trust_engine: bool = False

    @property
    def in_torch(self) -> bool:
        """True where PyTorch runs it."""
        return self.how in (EAGER, COMPILE)

    def to_json(self) -> dict[str, Any]:
        """Give what `from_json` reads, for the process that runs it."""
        said = {each.name: getattr(self.network, each.name) for each in fields(self.network)}
        network = {**said, "inputs": specs_json(self.network.inputs)}
        return {**vars(self), "path": str(self.path), "network": network}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Asked:
        """Read what `to_json` gave."""
        said = dict(document["network"])
        network = NetworkOptions(**{**said, "inputs": specs_from(said["inputs"])})
        return cls(**{**document, "path": Path(document["path"]), "network": network})


def runtime_of(path: Path) -> str:
    """Tell by a file's name what runs it: "onnxruntime", "tensorrt", or "torch" all else."""
    if path.suffix.lower() == ".onnx":
        return "onnxruntime"
    return "tensorrt" if path.suffix.lower() in PLANS else "torch"

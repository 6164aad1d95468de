"""Take a trained SimAM network from a checkpoint to a verified ONNX file or GPU engine.

The public names are imported when they are first used: importing the package is instant and
does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from simam_deploy.artifacts import EngineArtifact, OnnxArtifact, ValidationReport
    from simam_deploy.comparison import validate_models
    from simam_deploy.engine_pipeline import EngineOptions, build
    from simam_deploy.errors import (
        CheckpointError,
        InputError,
        NetworkError,
        SimamError,
        UsageError,
        ValidationError,
    )
    from simam_deploy.inspect_report import InspectReport
    from simam_deploy.inspection import inspect_onnx
    from simam_deploy.models.simam import SimAM
    from simam_deploy.models.zoo import NETWORKS
    from simam_deploy.pipeline import export_onnx

_HOMES = {
    "NETWORKS": "models.zoo",
    "CheckpointError": "errors",
    "EngineArtifact": "artifacts",
    "EngineOptions": "engine_pipeline",
    "InputError": "errors",
    "InspectReport": "inspect_report",
    "NetworkError": "errors",
    "OnnxArtifact": "artifacts",
    "SimAM": "models.simam",
    "SimamError": "errors",
    "UsageError": "errors",
    "ValidationError": "errors",
    "ValidationReport": "artifacts",
    "build": "engine_pipeline",
    "export_onnx": "pipeline",
    "inspect_onnx": "inspection",
    "validate_models": "comparison",
}

__all__ = [
    "NETWORKS",
    "CheckpointError",
    "EngineArtifact",
    "EngineOptions",
    "InputError",
    "InspectReport",
    "NetworkError",
    "OnnxArtifact",
    "SimAM",
    "SimamError",
    "UsageError",
    "ValidationError",
    "ValidationReport",
    "build",
    "export_onnx",
    "inspect_onnx",
    "validate_models",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

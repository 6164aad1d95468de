"""Take a trained SimAM network from a checkpoint to a verified ONNX file or GPU engine.

The public names are imported when they are first used: importing the package is instant and
does not import torch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from simam_deploy.core.version import __version__ as __version__

if TYPE_CHECKING:
    from simam_deploy.core.artifacts import EngineArtifact as EngineArtifact
    from simam_deploy.core.artifacts import OnnxArtifact as OnnxArtifact
    from simam_deploy.core.inspection import InspectReport as InspectReport
    from simam_deploy.core.progress import Progress as Progress
    from simam_deploy.core.specs import TensorSpec as TensorSpec
    from simam_deploy.core.validation import ValidationReport as ValidationReport
    from simam_deploy.detect.objects import Detections as Detections
    from simam_deploy.detect.objects import ObjectDetector as ObjectDetector
    from simam_deploy.engine.options import EngineOptions as EngineOptions
    from simam_deploy.errors import CheckpointError as CheckpointError
    from simam_deploy.errors import EngineError as EngineError
    from simam_deploy.errors import GraphError as GraphError
    from simam_deploy.errors import InputError as InputError
    from simam_deploy.errors import NetworkError as NetworkError
    from simam_deploy.errors import SimamError as SimamError
    from simam_deploy.errors import UsageError as UsageError
    from simam_deploy.errors import ValidationError as ValidationError
    from simam_deploy.models.attention.simam import SimAM as SimAM
    from simam_deploy.models.zoo import NETWORKS as NETWORKS
    from simam_deploy.pipeline.build import build as build
    from simam_deploy.pipeline.explain import attention_maps as attention_maps
    from simam_deploy.pipeline.explain import grad_cam as grad_cam
    from simam_deploy.pipeline.explained import GradCam as GradCam
    from simam_deploy.pipeline.export import export_onnx as export_onnx
    from simam_deploy.pipeline.inspect import inspect_onnx as inspect_onnx
    from simam_deploy.pipeline.options import ComparisonOptions as ComparisonOptions
    from simam_deploy.pipeline.options import OnnxOptions as OnnxOptions
    from simam_deploy.pipeline.validate import validate_models as validate_models
    from simam_deploy.source.options import NetworkOptions as NetworkOptions
    from simam_deploy.source.options import SampleOptions as SampleOptions
    from simam_deploy.source.samples.heatmap import Heatmap as Heatmap
    from simam_deploy.verify.report import ComparisonReport as ComparisonReport

# ONNX Runtime 1.32 tells its maker of models that are run, their names and hashes among it, and
# keeps files of that in the user's cache, unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "CheckpointError": "errors",
    "ComparisonOptions": "pipeline.options",
    "ComparisonReport": "verify.report",
    "Detections": "detect.objects",
    "EngineArtifact": "core.artifacts",
    "EngineError": "errors",
    "EngineOptions": "engine.options",
    "GradCam": "pipeline.explained",
    "GraphError": "errors",
    "Heatmap": "source.samples.heatmap",
    "InputError": "errors",
    "InspectReport": "core.inspection",
    "NETWORKS": "models.zoo",
    "NetworkError": "errors",
    "NetworkOptions": "source.options",
    "ObjectDetector": "detect.objects",
    "OnnxArtifact": "core.artifacts",
    "OnnxOptions": "pipeline.options",
    "Progress": "core.progress",
    "SampleOptions": "source.options",
    "SimAM": "models.attention.simam",
    "SimamError": "errors",
    "TensorSpec": "core.specs",
    "UsageError": "errors",
    "ValidationError": "errors",
    "ValidationReport": "core.validation",
    "attention_maps": "pipeline.explain",
    "build": "pipeline.build",
    "export_onnx": "pipeline.export",
    "grad_cam": "pipeline.explain",
    "inspect_onnx": "pipeline.inspect",
    "validate_models": "pipeline.validate",
}
"""The one table of public names: name -> the module that it lives in."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

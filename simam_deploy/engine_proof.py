"""Prove a plan on the GPU that is there: its outputs against the ONNX file's, and its speed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simam_deploy.artifacts import EngineArtifact
from simam_deploy.engine.flavours import FLAVOURS
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import EngineError, ValidationError
from simam_deploy.gpu import find_gpus
from simam_deploy.pipeline import Progress
from simam_deploy.sources import Options
from simam_deploy.sources.onnx_file import load_onnx
from simam_deploy.validate import TOLERANCES, cases_for, compare, record

_TIMED = 50
"""Runs whose median is compared."""


def prove(onnx: Path, plan: Path, request: BuildRequest, progress: Progress) -> Mapping[str, Any]:
    """Hold a plan against the ONNX file in ONNX Runtime, at each profile's least and best shapes.

    Returns:
        What a manifest says of it; "passed" is None where no GPU was there to run it.

    Raises:
        ValidationError: The outputs differ by more than the precision costs.
    """
    reason = _why_not(request)
    if reason:
        return {"passed": None, "reason": f"not run: {reason}"}
    from simam_deploy.runtime.tensorrt_runner import TensorRTRunner

    progress("validating on the GPU")
    subject = load_onnx(onnx, Options())
    shapes = [tuple(getattr(r, which) for r in profile) for profile in request.profiles
              for which in ("min", "opt")] or subject.shapes  # fmt: skip
    with subject.reference() as reference, subject.shaken() as shaken:
        recording = record(reference, shaken, cases_for(shapes, request.precision))
    with TensorRTRunner(plan, trust=True) as runner:
        report = compare(recording, runner, request.precision)
    if not report.passed:
        worst = report.worst
        raise ValidationError(
            f"{request.output.name} was not written: output {worst.output} of case "
            f"'{worst.case}' is off by {worst.max_rel:.1e} of the largest value "
            f"(allowed {worst.allowed:.0e}) {worst.reason}"
        )
    return report.summary()


def _why_not(request: BuildRequest) -> str:
    """Say why the plan cannot be run here, or nothing."""
    gpus = find_gpus()
    if not gpus.devices:
        return gpus.reason
    named = FLAVOURS[request.flavour].target_names(request.targets)
    if named[0].startswith("sm") and gpus.devices[0].sm not in named:
        return f"it is built for {', '.join(named)}, this GPU is {gpus.devices[0].sm}"
    if request.precision not in TOLERANCES:
        return f"no tolerance is known for {request.precision}"
    return ""


def compare_speed(
    with_plugin: EngineArtifact, without: EngineArtifact
) -> tuple[EngineArtifact, str]:
    """Choose between a plan with the plugin and one without, and say why.

    By time on the GPU where there is one; else by launches, which stand for passes over memory.
    """
    try:
        times = [_milliseconds(artifact) for artifact in (with_plugin, without)]
        better = with_plugin if times[0] < times[1] else without
        figures = f"{times[0]:.3f} ms with it, {times[1]:.3f} ms without"
    except EngineError:
        better, figures = _fewer_launches(with_plugin, without)
    return better, f"plugin {'kept' if better is with_plugin else 'left out'}: {figures}"


def _fewer_launches(
    with_plugin: EngineArtifact, without: EngineArtifact
) -> tuple[EngineArtifact, str]:
    ours, bare = with_plugin.audit.launches, without.audit.launches
    if ours is None or bare is None:
        return without, "neither times nor launches are known without a GPU"
    better = with_plugin if ours < bare else without
    return better, f"{ours} launches with it, {bare} without, and no GPU to time them"


def _milliseconds(artifact: EngineArtifact) -> float:
    """Time a plan at the best shapes of its first profile.

    Raises:
        EngineError: There is no GPU.
    """
    from simam_deploy.runtime.tensorrt_runner import TensorRTRunner

    with TensorRTRunner(artifact.path, trust=True) as runner:
        best = {r.name: r.opt for r in runner.profiles[0]}
        return statistics.median(runner.latencies(best, _TIMED))

"""Prove a plan on the GPU that is there: its outputs against the ONNX file's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simam_deploy.core.progress import Progress
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import ValidationError
from simam_deploy.runtime.gpu import find_gpus
from simam_deploy.source.onnx_file import load_onnx
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.subject import Opset
from simam_deploy.verify.cases import cases_for
from simam_deploy.verify.outputs import compare, record
from simam_deploy.verify.tolerance import TOLERANCES


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
    from simam_deploy.engine.run.runner import TensorRTRunner

    progress("validating on the GPU")
    subject = load_onnx(onnx, NetworkOptions(), Opset())
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

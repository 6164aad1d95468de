"""Prove a plan on the GPU that is there: its outputs against the ONNX file's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simam_deploy.core.progress import Progress
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import ValidationError
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.runtime.gpu import find_gpus
from simam_deploy.source.subject import InputShapes
from simam_deploy.verify.candidate import open_candidate
from simam_deploy.verify.judge import behaviour_of, run_cases_of
from simam_deploy.verify.outputs import compare, record, run_cases
from simam_deploy.verify.report import describe_failure
from simam_deploy.verify.rule import rule_for


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
    model = open_candidate(onnx)  # here it is the reference
    rule = rule_for(model.precision, request.precision)
    assert model.graph is not None
    with model.runner() as reference:
        cases = rule.cases(_shapes(request), model.facts.get("preprocessing"))
        recording = record(reference, cases)
    graph = run_cases_of(model.graph(), recording)
    behaviour = behaviour_of(model.graph(), graph, model.precision, request.precision)
    with TensorRTRunner(plan, trust=True) as runner:
        got = run_cases(runner, recording.cases)
        report = compare(recording, rule, behaviour, got, runner.name)
    if not report.passed:
        raise ValidationError(f"{request.output.name} was not written: {describe_failure(report)}")
    return report.summary()


def _shapes(request: BuildRequest) -> list[InputShapes]:
    """List the least and the best shapes of every profile; without any, all sizes are fixed."""
    ends = [[r.min for r in p] for p in request.profiles]
    ends += [[r.opt for r in p] for p in request.profiles]
    if ends:
        return [tuple(shapes) for shapes in ends]
    inputs, _ = interface(read_model(request.onnx))
    return [tuple(tuple(int(size) for size in spec.shape) for spec in inputs)]


def _why_not(request: BuildRequest) -> str:
    """Say why the plan cannot be run here, or nothing."""
    gpus = find_gpus()
    if not gpus.devices:
        return gpus.reason
    named = FLAVOURS[request.flavour].target_names(request.targets)
    if named[0].startswith("sm") and gpus.devices[0].sm not in named:
        return f"it is built for {', '.join(named)}, this GPU is {gpus.devices[0].sm}"
    return ""

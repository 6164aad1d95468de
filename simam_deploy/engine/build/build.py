"""Build a plan from an ONNX file that is as the plan is to be, and seal it with its manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from simam_deploy.core.artifacts import EngineArtifact, PlanAudit
from simam_deploy.core.manifest import write_manifest
from simam_deploy.core.place import log_of
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import ELEMENTS, TensorSpec
from simam_deploy.core.staging import explained, publish, staging_folder
from simam_deploy.engine.build.compile import Compiled, compile_plan
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.options import EngineOptions, build_command
from simam_deploy.engine.plan.audit import GraphFacts, audit, graph_facts
from simam_deploy.engine.plan.manifest import artifact_of, describe
from simam_deploy.engine.plan.plan_facts import PlanFacts, read_inspector, read_listing
from simam_deploy.engine.request import BuildRequest, check_targets
from simam_deploy.errors import ValidationError
from simam_deploy.graph.file.interface import spec_of
from simam_deploy.graph.file.read import read_model
from simam_deploy.runtime.gpu import find_gpus

Facts = Mapping[str, Any]
Accept = Callable[[Path], Facts]
"""Told a plan that lies in the staging folder; gives its validation, or raises to stop the line."""

NOT_RUN: Facts = {"passed": None, "reason": "not run: nothing was there to run the plan"}


def build_engine(
    request: BuildRequest,
    progress: Progress = lambda step: None,
    *,
    facts: Facts | None = None,
    accept: Accept = lambda plan: NOT_RUN,
) -> EngineArtifact:
    """Build, audit and seal the plan of a request; it appears whole with its manifest, or not.

    Args:
        request: What to build. Its graph is taken as it is.
        progress: Told each step.
        facts: What a manifest adds: source, e_lambda, simam_sites, lowering, notes, command.
        accept: Validates the plan before it appears.

    Returns:
        The artifact; beside the plan lie its manifest and the library's log.

    Raises:
        EngineError: The library does not take the graph or cannot build it.
        ValidationError: The plan is other than what was asked for, or `accept` refused it.
        InputError: The ONNX file cannot be used or the output not be written.
        UsageError: The flavour has no use for an option.
    """
    started = time.perf_counter()
    flavour = FLAVOURS[request.flavour]
    flavour.check(request)
    check_targets(request.precision, request.targets)
    model = read_model(request.onnx)
    known = {**_DEFAULTS, "command": _command(request), **(facts or {})}
    graph = graph_facts(model, [site["name"] for site in known["simam_sites"]])
    with staging_folder(request.output) as stage:
        plan = stage / request.output.name
        compiled = compile_plan(request, plan, log_of(plan), progress)
        progress("auditing the plan")
        report = _audited(request, graph, plan, compiled)
        known["validation"] = accept(plan)
        with explained(request.output):
            known["gpu"] = _gpu(request)
            io = _specs(model.graph.inputs, compiled), _specs(model.graph.outputs, compiled)
            stated = describe(request, compiled, report, io, known)
            document = write_manifest(plan, [plan], stated)
            publish(stage, request.output)
    return artifact_of(request.output, document, False, time.perf_counter() - started)


_DEFAULTS: Facts = {
    "source": None,
    "e_lambda": None,
    "simam_sites": [],
    "lowering": "as in the file",
    "notes": [],
}


def _specs(values: Iterable[ir.Value], compiled: Compiled) -> tuple[TensorSpec, ...]:
    """Describe inputs or outputs, in the types that the plan has them."""
    specs = (spec_of(value) for value in values if not value.is_initializer())
    types = {e.tensorrt: e.name for e in ELEMENTS if e.tensorrt}
    return tuple(
        replace(spec, dtype=types.get(compiled.types.get(spec.name, ""), spec.dtype))
        for spec in specs
    )


def _command(request: BuildRequest) -> str:
    asked = EngineOptions(
        backend=FLAVOURS[request.flavour].backend,
        targets=request.targets,
        min_shapes=tuple({r.name: r.min for r in profile} for profile in request.profiles),
        opt_shapes=tuple({r.name: r.opt for r in profile} for profile in request.profiles),
        max_shapes=tuple({r.name: r.max for r in profile} for profile in request.profiles),
        workspace=request.workspace,
        timing_cache=request.timing_cache,
        plugin="never" if request.plugin is None else str(request.plugin),
        tf32=request.tf32,
    )
    return build_command(request.onnx.name, request.output.name, asked)


def _audited(request: BuildRequest, graph: GraphFacts, plan: Path, compiled: Compiled) -> PlanAudit:
    """Audit the plan.

    Raises:
        ValidationError: Its precision, or the plugin, is not as asked.
    """
    plan_facts = _plan_facts(request, plan, compiled)
    report = audit(request.precision, graph, plan_facts, request.plugin is not None)
    if report.findings:
        raise ValidationError(
            f"{request.output.name} was not written: {'; '.join(report.findings)} "
            f"(by {report.source})"
        )
    return report


def _plan_facts(request: BuildRequest, plan: Path, compiled: Compiled) -> PlanFacts | None:
    """Ask the inspector, which the child ran where there is a device, or else read the listing."""
    if compiled.inspection and (found := read_inspector(compiled.inspection)):
        return found
    return read_listing(plan.read_bytes()) if request.flavour == "tensorrt_rtx" else None


def _gpu(request: BuildRequest) -> Facts | None:
    """Name the device that a plan for the "current" one was built on."""
    devices = find_gpus().devices
    named = FLAVOURS[request.flavour].target_names(request.targets)
    if named != ("current",) or not devices:
        return None
    return {"name": devices[0].name, "sm": devices[0].sm}

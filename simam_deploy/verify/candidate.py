"""Open the model that is held against a reference: one branch a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from simam_deploy.core.caveats import caveats
from simam_deploy.core.files import PLANS
from simam_deploy.core.onnx_metadata import stated_facts
from simam_deploy.core.specs import PRECISIONS, TensorSpec
from simam_deploy.errors import EngineError, GraphError, InputError, ValidationError
from simam_deploy.graph.file.interface import check_interface, interface
from simam_deploy.graph.file.read import mended, read_model
from simam_deploy.graph.passes.resum import resum
from simam_deploy.graph.prepare import plain
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.graph.types import EPSILON, FLOAT_TYPES, HALF_TYPES, precision_of
from simam_deploy.precision.rounding import rounded
from simam_deploy.runtime.graph_runner import run_exact, run_graph, run_stored
from simam_deploy.runtime.protocol import Runner
from simam_deploy.source.stated.of_onnx import take_metadata


@dataclass(frozen=True)
class Candidate:
    """A model that claims to compute what another does.

    Attributes:
        path: Its file.
        precision: One of `core.specs.PRECISIONS`, by what its graph holds.
        inputs: As the file has them.
        outputs: The names of what it gives.
        runner: Opens it. Half precision is rounded as the graph says, which no CPU does by itself;
            a plan runs as it is.
        graph: Reads it, in plain ops with all types known, for whoever may use it up; None for a
            plan, which cannot be read.
        shapes: The full shapes, one an input in each, that a plan is tuned for and the least that
            it takes; none for an .onnx.
        facts: What it, or its manifest, says of itself.
        notes: What a reader of the report should know.
        fused: Whether SimAM is a node of its own in it, with what follows it.
        long_sums: How many reductions it takes in one long run (`graph.passes.resum`).
        as_stored: Opens it as ONNX Runtime runs it, rounding and adding in its own way; None for
            a plan.
    """

    path: Path
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    runner: Callable[[], Runner]
    graph: Callable[[], ir.Model] | None
    shapes: tuple[tuple[tuple[int, ...], ...], ...]
    facts: Mapping[str, Any]
    notes: tuple[str, ...]
    fused: bool = False
    long_sums: int = 0
    as_stored: Callable[[], Runner] | None = None

    @property
    def dtype(self) -> ir.DataType:
        """The type in whose units its gates are judged."""
        return FLOAT_TYPES[self.precision]

    @property
    def unit(self) -> float:
        """What one rounding changes, relative to a map's largest value.

        Half a step: of int8 the 254th part of its range, and of E4M3 the 28th at its upper end.
        """
        return {"int8": 2.0**-8, "fp8": 2.0**-5}.get(self.precision, EPSILON[self.dtype])


def open_candidate(path: Path, trust_engine: bool = False) -> Candidate:
    """Open a model.

    Args:
        path: An .onnx, or a plan with its manifest.
        trust_engine: Load a plan without its manifest's word: a plan can run code.

    Raises:
        InputError: The file is no ONNX model, or a plan that cannot be run here.
        ValidationError: It is an ONNX model that no runtime takes; names the node.
    """
    return _open_plan(path, trust_engine) if path.suffix in PLANS else _open_onnx(path)


def _open_onnx(path: Path) -> Candidate:
    try:
        model = read_model(path)
    except GraphError as error:  # a model, and wrong: that is a finding
        raise ValidationError(str(error)) from error
    precision = precision_of(model)
    fused = bool(simam_nodes(model))
    check_interface(model, path.name)
    inputs, outputs = interface(model)
    told = take_metadata(model.metadata_props, inputs[0].shape).facts
    facts = {**told, **stated_facts(model.metadata_props)}
    return Candidate(
        path=path,
        precision=precision,
        inputs=inputs,
        outputs=tuple(spec.name for spec in outputs),
        runner=partial(_open, path, precision),
        graph=lambda: plain(read_model(path)),
        shapes=(),
        facts=facts,
        notes=(*mended(model), *caveats(facts), *([FUSED_NOTE] if fused else [])),
        fused=fused,
        long_sums=resum(_inlined(model))[1],
        as_stored=partial(_as_stored, path),
    )


FUSED_NOTE = (
    "SimAM is a node of its own in the candidate: its gates are those of the published ops, "
    "and the outputs alone cover the node's body"
)


def _open_plan(path: Path, trust: bool) -> Candidate:
    """Load a plan once; every run is a fork of it.

    Raises:
        EngineError: It cannot be run here, or is of a precision that has no bounds.
    """
    from simam_deploy.engine.run.runner import TensorRTRunner

    with TensorRTRunner(path, trust=trust) as first:
        facts, profiles = first.facts, first.profiles
    precision = facts.get("precision", "fp32")
    if precision not in PRECISIONS:
        raise EngineError(f"{path.name} is {precision}: only {', '.join(PRECISIONS)} can be judged")
    return Candidate(
        path=path,
        precision=precision,
        inputs=first.inputs,
        outputs=tuple(spec.name for spec in first.outputs),
        runner=first.fork,
        graph=None,
        shapes=tuple(
            tuple(shape) for p in profiles for shape in ([r.opt for r in p], [r.min for r in p])
        ),
        facts=facts,
        notes=(
            *caveats(facts),
            *([PLAN_NOTE] if "precision" in facts else [PLAN_NOTE, UNSTATED_NOTE]),
        ),
    )


PLAN_NOTE = "a plan does not show its SimAM gates: its outputs alone cover them"
UNSTATED_NOTE = "no manifest states the plan's precision: it is judged as fp32"


def _open(path: Path, precision: str) -> Runner:
    """Open a file, its sums as it states them and its half values rounded as it says.

    Raises:
        ValidationError: ONNX Runtime does not take it.
    """
    try:
        if precision not in HALF_TYPES:
            return run_exact(path)[0]
        model, _ = resum(rounded(_inlined(read_model(path))))
        return run_graph(model, path.name)
    except InputError as error:
        raise ValidationError(str(error)) from error


def _as_stored(path: Path) -> Runner:
    """Open a file as ONNX Runtime runs it.

    Raises:
        ValidationError: It does not take it.
    """
    try:
        return run_stored(path)
    except InputError as error:
        raise ValidationError(str(error)) from error


def _inlined(model: ir.Model) -> ir.Model:
    return InlinePass()(model).model if model.functions else model

"""What lies between inputs and outputs: gates, layers, and where the maps part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import onnx_ir as ir

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.validation import Departure, GateCheck, LayerCheck, ValidationReport
from simam_deploy.graph.types import HALVES
from simam_deploy.precision.half.layers import layers
from simam_deploy.precision.original import as_simplified
from simam_deploy.precision.taps import SiteRecorder, record_sites, sites_of
from simam_deploy.verify.cases import Case, Given
from simam_deploy.verify.drift import find_departure
from simam_deploy.verify.gates import GateChecker, failed, worst_of
from simam_deploy.verify.layers import check_layers, record_layers
from simam_deploy.verify.outputs import Recording
from simam_deploy.verify.pair import Pair, at_fault

Graph = Callable[[], ir.Model]
_CASES = 2
"""That gates are checked on, the samples that a user gave beside them: all kinds are in them
where the batch is free."""
_LAMBDA = 1e-5
"""Relative, of a lambda read back out of products with it in float32."""


def look_inside(
    pair: Pair, graph: Graph, recording: Recording, report: ValidationReport, converted: bool
) -> ValidationReport:
    """Check the candidate's gates and layers, and find where its maps part, if its outputs do.

    Args:
        pair: Both.
        graph: Reads the candidate's.
        recording: The reference.
        report: Of the outputs.
        converted: Whether the candidate is of another precision than the reference: its layers
            are then held against it.

    Raises:
        ValidationError: The candidate cannot be run.
    """
    cases = [
        case
        for number, case in enumerate(recording.cases)
        if number < _CASES or isinstance(case, Given)
    ]
    first = cases[0].feeds(pair.inputs)
    layers, notes = _check_layers(pair, graph, first) if converted else ((), [])
    lost = _lost(pair)
    return replace(
        report,
        gates=lost or _check_sites(pair, graph, cases),
        layers=layers,
        departure=None if lost else _locate(pair, graph, first, recording, report),
        notes=(*report.notes, *notes),
    )


def _check_sites(pair: Pair, graph: Graph, cases: Sequence[Case]) -> tuple[GateCheck, ...]:
    """Check every gate on some cases; as many as the source has, with its lambdas."""
    if not pair.sites:
        return ()
    checks = []
    with (
        SiteRecorder(pair.original.plain()) as recorder,
        at_fault(pair.candidate.path),
        GateChecker(graph(), pair.candidate.dtype) as checker,
    ):
        for case in cases:
            feeds = case.feeds(pair.inputs)
            checks.append(checker.check(recorder.record(feeds), pair.own_names(feeds)))
    return tuple(worst_of(site) for site in zip(*checks, strict=True))


def _lost(pair: Pair) -> tuple[GateCheck, ...]:
    """Fail every site of the source where its own graph, written out, does not show them all."""
    own = [site.e_lambda for site in sites_of(pair.original.plain())]
    wanted = [site.e_lambda for site in pair.sites]
    if len(own) != len(wanted):
        reason = f"the source has {len(wanted)} SimAM, its graph written out shows {len(own)}"
        return tuple(failed(site.name, reason) for site in pair.sites)
    return tuple(
        failed(site.name, f"lambda is {got:g} in its graph written out, {site.e_lambda:g} before")
        for site, got in zip(pair.sites, own, strict=True)
        if not math.isclose(got, site.e_lambda, rel_tol=_LAMBDA)
    )


def _check_layers(
    pair: Pair, graph: Graph, feeds: Feeds
) -> tuple[tuple[LayerCheck, ...], list[str]]:
    """Check every layer of a half candidate, where it has those of the reference.

    A simplifier fuses a Pad or a bias with its layer, and a conversion may have been through one:
    the reference counts as it is, and as it would be then.
    """
    if pair.candidate.dtype not in HALVES:
        return (), []
    own, forms = (
        _kinds(graph()),
        (pair.original.plain, lambda: as_simplified(pair.original.plain())),
    )
    found: list[tuple[LayerCheck, ...]] = []
    for original in forms:
        if _kinds(original()) == own:
            found.append(_checked(pair, original, graph, feeds))
            if all(check.passed for check in found[-1]):
                return found[-1], []
    if found:
        return found[0], []
    theirs = _kinds(pair.original.plain())
    return (), [f"layers were not compared one by one: {len(own)}, the reference {len(theirs)}"]


def _checked(pair: Pair, original: Graph, graph: Graph, feeds: Feeds) -> tuple[LayerCheck, ...]:
    maps = record_layers(original(), feeds)
    with at_fault(pair.candidate.path):
        return check_layers(maps, original(), graph(), pair.candidate.dtype)


def _kinds(model: ir.Model) -> list[tuple[str, object]]:
    """List each layer's operator and the shape of its weights."""
    weights = [(node.op_type, node.inputs[1]) for node in layers(model)]
    return [(kind, tuple(weight.shape or ())) for kind, weight in weights if weight is not None]


def _locate(
    pair: Pair, graph: Graph, feeds: Feeds, recording: Recording, report: ValidationReport
) -> Departure | None:
    """Find where the maps part, if the outputs do."""
    if report.outputs_passed or not pair.sites:
        return None
    off = max(
        math.inf if r.reason else r.max_abs / (recording.largest[r.output] or 1.0)
        for r in report.results
        if r.output in recording.largest
    )
    samples, own = record_sites(pair.original.plain(), feeds), pair.own_names(feeds)
    return find_departure(samples, graph, own, pair.candidate.unit, off)

"""What lies between inputs and outputs: gates, layers, and where the maps part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.validation import GateCheck, LayerCheck, ValidationReport
from simam_deploy.errors import InputError
from simam_deploy.graph.types import HALVES
from simam_deploy.precision.half.layers import layers
from simam_deploy.precision.original import as_simplified
from simam_deploy.precision.taps import SiteRecorder, record_sites
from simam_deploy.source.samples import Dataset
from simam_deploy.verify.drift import find_departure
from simam_deploy.verify.gates import GateChecker, worst_of
from simam_deploy.verify.layers import check_layers, record_layers
from simam_deploy.verify.outputs import Recording
from simam_deploy.verify.pair import Pair, at_fault
from simam_deploy.verify.report import Departure

Graph = Callable[[], ir.Model]
_GATE_SAMPLES = 8


@dataclass(frozen=True)
class Inside:
    """What was found between a candidate's inputs and outputs; nothing of a plan."""

    gates: tuple[GateCheck, ...] = ()
    layers: tuple[LayerCheck, ...] = ()
    departure: Departure | None = None
    notes: tuple[str, ...] = ()


def gate_inputs(pair: Pair, recording: Recording, samples: Dataset | None) -> Iterator[Feeds]:
    """Yield a batch of real samples, or else the drawn inputs of every case.

    Raises:
        InputError: There are fewer samples than the batch that the candidate fixes.
    """
    if samples is None:
        ordered = sorted(recording.outputs, key=lambda case: case.kind != "normal")
        yield from (case.feeds(pair.inputs) for case in ordered)
        return
    size = pair.batch_size(_GATE_SAMPLES)
    batch = next(samples.batches(size)).array
    if len(batch) == size or not isinstance(pair.candidate.inputs[0].shape[0], int):
        yield {pair.inputs[0].name: batch}
    else:
        raise InputError(f"{samples.name} holds {len(batch)} samples, the model takes {size}")


def look_inside(
    pair: Pair, graph: Graph, inputs: Sequence[Feeds], validation: ValidationReport
) -> Inside:
    """Check the candidate's gates and layers, and find where its maps part, if its outputs do.

    Raises:
        ValidationError: The candidate cannot be run.
    """
    gates = _check_sites(pair, graph, inputs)
    layer_checks, notes = _check_layers(pair, graph, inputs[0])
    departure = _locate(pair, graph, inputs[0], validation)
    return Inside(gates, layer_checks, departure, tuple(notes))


def _check_sites(pair: Pair, graph: Graph, inputs: Sequence[Feeds]) -> tuple[GateCheck, ...]:
    """Check every gate on every input."""
    checks = []
    with (
        SiteRecorder(pair.original()) as recorder,
        at_fault(pair.candidate.path),
        GateChecker(graph(), pair.candidate.dtype) as checker,
    ):
        for feeds in inputs:
            checks.append(checker.check(recorder.record(feeds), pair.own_names(feeds)))
    return tuple(worst_of(site) for site in zip(*checks, strict=True))


def _check_layers(
    pair: Pair, graph: Graph, feeds: Feeds
) -> tuple[tuple[LayerCheck, ...], list[str]]:
    """Check every layer of a half candidate, where it has those of the reference.

    A simplifier fuses a Pad or a bias with its layer, and a conversion may have been through one:
    the reference counts as it is, and as it would be then.
    """
    if pair.candidate.dtype not in HALVES:
        return (), []
    own, forms = _kinds(graph()), (pair.original, lambda: as_simplified(pair.original()))
    found: list[tuple[LayerCheck, ...]] = []
    for original in forms:
        if _kinds(original()) == own:
            found.append(_checked(pair, original, graph, feeds))
            if all(check.passed for check in found[-1]):
                return found[-1], []
    if found:
        return found[0], []
    theirs = _kinds(pair.original())
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
    pair: Pair, graph: Graph, feeds: Feeds, validation: ValidationReport
) -> Departure | None:
    """Find where the maps part, if the outputs do."""
    if validation.passed:
        return None
    samples, own = record_sites(pair.original(), feeds), pair.own_names(feeds)
    return find_departure(samples, graph, own, pair.candidate.unit, validation.results)

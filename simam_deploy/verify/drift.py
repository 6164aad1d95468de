"""Find where two networks part: run both, and compare the map that each SimAM is given.

Gates are judged on the reference's maps, so that a fault between two sites shows in none of them,
and the outputs do not tell its place. The candidate's own maps do: correct rounding grows slowly
with depth (float16's 1e-3 is 5e-2 at the end of a resnet152), a wrong weight is a leap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.validation import Departure
from simam_deploy.graph.recognise import recognise
from simam_deploy.graph.types import PRODUCTS
from simam_deploy.precision.taps import SiteRecorder, SiteSample

LEAP = 10.0
"""A difference that is this many times the largest before it is a fault's."""

_SUSPECTS = 3


def find_departure(
    samples: Sequence[SiteSample],
    candidate: Callable[[], ir.Model],
    feeds: Feeds,
    unit: float,
    outputs: float,
) -> Departure | None:
    """Locate the first leap, at a site or behind the last.

    Args:
        samples: The reference's maps.
        candidate: Reads the candidate's graph, plain ops.
        feeds: The inputs that the samples were recorded with, under the candidate's names.
        unit: What one rounding of the candidate changes.
        outputs: The largest difference of an output, over its largest value.

    Returns:
        The place; None where the difference only grows, or the sites are not as many.
    """
    if len(_maps(candidate())) != len(samples):
        return None
    with SiteRecorder(candidate()) as recorder:
        own = recorder.record(feeds)
    drifts = [_difference(theirs.x, ours.x) for theirs, ours in zip(samples, own, strict=True)]
    drifts.append(outputs)
    before = [max([unit, *drifts[:i]]) for i in range(len(drifts))]
    leaps = [
        here / past if past < math.inf else 0.0 for here, past in zip(drifts, before, strict=True)
    ]
    place = max(range(len(leaps)), key=leaps.__getitem__)
    if leaps[place] < LEAP:
        return None
    site = own[place].name if place < len(own) else ""
    return Departure(site, before[place], drifts[place], _suspects(candidate(), place))


def _difference(expected: Array, got: Array) -> float:
    if expected.shape != got.shape:
        return math.inf
    reference = expected.astype(np.float64)
    off = float(np.max(np.abs(got.astype(np.float64) - reference), initial=0.0))
    scale = float(np.max(np.abs(reference), initial=0.0)) or 1.0
    return off / scale if off == off else math.inf


def _suspects(model: ir.Model, place: int) -> tuple[str, ...]:
    """Name the nodes with weights between the map before `place` and the one there."""
    maps = _maps(model)
    known = _ancestors(maps[place - 1 : place] if place else [])
    ends = maps[place : place + 1] or list(model.graph.outputs)
    between = _ancestors(ends) - known
    new = [node for node in model.graph if node in between]
    names = [n.name or n.outputs[0].name or "" for n in new if n.op_type in PRODUCTS]
    return tuple(names[:_SUSPECTS])


def _maps(model: ir.Model) -> list[ir.Value]:
    return [site.x for site in recognise(model).sites if site.is_as_contract]


def _ancestors(values: Sequence[ir.Value]) -> set[ir.Node]:
    found: set[ir.Node] = set()
    pending: list[ir.Value | None] = list(values)
    while pending:
        value = pending.pop()
        node = value.producer() if value is not None else None
        if node is not None and node not in found:
            found.add(node)
            pending.extend(node.inputs)
    return found

"""Whole outputs: does int8 cost them more than it must in this network?

Every quantised tensor of the float32 graph is clipped to its best range and disturbed by half a
step, evenly drawn; every quantised weight likewise. The change of an output (RMS, over the RMS of
the output) is what int8 must cost. A candidate may cost twice that: one bit. Correct ones of the
published networks came to 0.9 to 1.4 times it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.validation import CaseResult
from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.int8.noise import disturb
from simam_deploy.precision.int8.placement import Placement
from simam_deploy.runtime.graph_runner import run_graph

ALLOWED = 2.0
"""Times the expected cost: one bit."""
FLOOR = 2.0**-20
"""What float32 itself may cost, 8 units: a network can all but ignore its quantised layers."""
DRAWS = 3
"""Of the noise; a network's outputs, hundreds of values over several samples, vary little."""


def check_outputs(
    original: Callable[[], ir.Model],
    candidate: ir.Model,
    place: Callable[[ir.Model], Placement],
    ranges: Mapping[str, float],
    feeds: Feeds,
) -> tuple[CaseResult, ...]:
    """Compare every output's cost with what int8 must cost it.

    Args:
        original: Reads the float32 graph, to be used up.
        candidate: The int8 graph; it is used up.
        place: Chooses what is quantised in a float32 graph.
        ranges: By tensor, to what it is clipped.
        feeds: Samples.

    Returns:
        One result an output: its relative difference is RMS over RMS.
    """
    exact, got = _run(original(), feeds), _run(candidate, feeds)
    drawn = []
    for seed in range(DRAWS):
        model = original()
        disturb(model, place(model), ranges, seed)
        drawn.append(_run(model, feeds))
    case = f"int8, {len(next(iter(feeds.values())))} samples"
    return tuple(_result(case, name, y, got.get(name), drawn) for name, y in exact.items())


def _run(model: ir.Model, feeds: Feeds) -> dict[str, Array]:
    with run_graph(typed(model)) as runner:
        return runner.run(feeds)


def _result(
    case: str, name: str, exact: Array, got: Array | None, drawn: Sequence[Feeds]
) -> CaseResult:
    expected = math.sqrt(sum(_change(exact, each[name]) ** 2 for each in drawn) / len(drawn))
    cost = _change(exact, got)
    reason = "" if math.isfinite(cost) else "missing, not finite or of another shape"
    return CaseResult(case, name, math.nan, cost, max(FLOOR, ALLOWED * expected), reason)


def _change(exact: Array, got: Array | None) -> float:
    """Give the RMS of the difference over the RMS of what is exact; NaN where shapes differ."""
    if got is None or got.shape != exact.shape:
        return math.nan
    reference = exact.astype(np.float64)
    size = float(np.linalg.norm(reference))
    off = float(np.linalg.norm(got.astype(np.float64) - reference))
    return off / size if size else off

"""Outputs: does int8 cost them more than it must in this network?

Every quantised tensor of the float32 graph is clipped to its best range and disturbed by half a
step, evenly drawn; every quantised weight likewise. The change of an output (RMS, over the RMS of
the output) is what int8 must cost: of the whole, and of each slice of `slices`. A candidate may
cost twice that: one bit. Correct ones of the published networks came to 0.9 to 1.4 times it, of a
trained detector to 1.0 (whole) and 1.0 to 1.1 (its channels). A slice may cost more where chance
may make it so (`chance`): 1.7 times was seen of one among 189 cells.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.core.validation import CaseResult
from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.int8.chance import by_chance, variations
from simam_deploy.precision.int8.noise import disturb
from simam_deploy.precision.int8.placement import Placement
from simam_deploy.precision.int8.runs import Runs
from simam_deploy.precision.int8.slices import Energy, Sums
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.protocol import Closing

ALLOWED = 2.0
"""Times the expected cost: one bit."""
MODEL = 1.4
"""Times the expected cost, what correct conversions come to where chance has no part."""
FLOOR = 2.0**-20
"""What float32 itself may cost, 8 units: a network can all but ignore its quantised layers."""
DRAWS = 4
"""Of the noise."""


def check_outputs(
    original: Callable[[], ir.Model],
    candidate: ir.Model,
    place: Callable[[ir.Model], Placement],
    ranges: Mapping[str, float],
    runs: Runs,
) -> tuple[CaseResult, ...]:
    """Compare every output's cost with what int8 must cost it.

    Args:
        original: Reads the float32 graph, to be used up.
        candidate: The int8 graph; it is used up.
        place: Chooses what is quantised in a float32 graph.
        ranges: By tensor, to what it is clipped.
        runs: Samples.

    Returns:
        For each output one result of the whole and one of every way to cut it, that of its worst
        slice; the relative difference is RMS over RMS.
    """
    with Exact(original(), runs) as exact:
        got = exact.changes(candidate)
        drawn = []
        for seed in range(DRAWS):
            model = original()
            disturb(model, place(model), ranges, seed)
            drawn.append(exact.changes(model))
    case = f"int8, {runs.samples} samples"
    return tuple(
        result
        for name, energy in exact.energies.items()
        for result in _results(case, name, energy, got[name], [draw[name] for draw in drawn])
    )


class Exact(Closing):
    """What the float32 network gives on all samples: on disk, and its sums in memory."""

    def __init__(self, model: ir.Model, runs: Runs) -> None:
        self.energies: dict[str, Energy] = {}
        self._runs = runs
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        with run_graph(typed(model)) as runner:
            for feeds in runs:
                for name, array in runner.run(feeds).items():
                    np.save(self._file, array, allow_pickle=False)
                    self.energies.setdefault(name, Energy()).add(array, _batch(feeds))

    def changes(self, model: ir.Model) -> dict[str, Energy]:
        """Give by how much another model's outputs differ; it is used up."""
        found = {name: Energy() for name in self.energies}
        self._file.seek(0)
        with run_graph(typed(model)) as runner:
            for feeds in self._runs:
                got = runner.run(feeds)
                for name, energy in found.items():
                    exact = np.load(self._file, allow_pickle=False)
                    energy.add_change(exact, got.get(name), _batch(feeds))
        return found

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


def _batch(feeds: Mapping[str, Array]) -> int:
    return len(next(iter(feeds.values())))


def _results(
    case: str, name: str, exact: Energy, got: Energy, drawn: Sequence[Energy]
) -> list[CaseResult]:
    """Judge one output, cut by cut."""
    draws = [draw.sums() for draw in drawn]
    if got.reason:
        return [CaseResult(case, name, math.nan, math.nan, ALLOWED, got.reason)]
    sizes, changes, varied = exact.sums(), got.sums(), variations(draws)
    slices = sum(len(v) for v in varied.values())
    results = []
    for cut, sums in changes.items():
        size, expected = sizes[cut].sum(axis=0), np.mean([d[cut].sum(axis=0) for d in draws], 0)
        factor = ALLOWED
        if cut:
            chance = by_chance(varied[cut], DRAWS, slices)
            factor = np.maximum(ALLOWED, MODEL * np.sqrt(chance))
        cost, allowed = _relative(sums.sum(axis=0), size), factor * _relative(expected, size)
        allowed = np.maximum(FLOOR, np.nan_to_num(allowed, nan=0.0, posinf=np.inf))
        worst = int(np.argmax(cost / allowed))
        figures = float(cost[worst]), float(allowed[worst])
        results.append(CaseResult(case, name + cut.format(worst), math.nan, *figures))
    return results


def _relative(squares: Sums, size: Sums) -> Sums:
    """Give RMS over RMS; where there is no size, as it is."""
    return np.sqrt(squares / np.where(size > 0, size, 1))

"""What the outputs would have shown: the check states its own power.

Agreement is worth what a fault would have moved. On the very inputs that were compared, a SimAM is
left out, site by site; every lambda is doubled; and a slice of an output (a score) is taken to be
off by a twentieth. Each is told in units of the bound: below 1 it would have passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.validation import Power, Seen
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.precision.probe import probed, switches
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.protocol import Runner
from simam_deploy.verify.cases import Case, Given
from simam_deploy.verify.outputs import Judge, Recording
from simam_deploy.verify.remarks import still_outputs
from simam_deploy.verify.slices import largest, ratio
from simam_deploy.verify.spread import changes, is_discrete

TRIED = 8
"""Sites left out in turn, the first and the last among them: a run each."""
SCORE = 0.05


def measure_power(graph: ir.Model, recording: Recording, judge: Callable[[Case], Judge]) -> Power:
    """Plant the faults.

    Args:
        graph: The reference's, one node a SimAM; it is used up.
        recording: Its outputs; faults are planted on real samples, if there are any, else on the
            first case.
        judge: Gives a case's bounds.
    """
    case = next((c for c in recording.cases if isinstance(c, Given)), recording.cases[0])
    expected = recording.outputs[case]
    scores = min(_score(recording.outputs, judge, name) for name in expected)
    counts = judge(
        case
    ).behaviour.layout.counts  # a detector that finds 100 in all is no less proved
    still = tuple(name for name in still_outputs(recording) if name not in counts)
    power = Power(None, None, Seen(scores), tried=0, sites=0, still=still)
    return _with_sites(power, graph, case, judge(case)) if simam_nodes(graph) else power


def _with_sites(power: Power, graph: ir.Model, case: Case, judge: Judge) -> Power:
    """Leave sites out, and double every lambda."""
    with_switches, names = probed(graph)
    with run_graph(with_switches) as runner:
        moved = _Moved(runner, case, judge, len(names))
        base = moved.run()
        numbers = np.unique(np.linspace(0, len(names) - 1, min(TRIED, len(names))).round())
        sites = {names[int(n)]: moved.units(base, moved.run(left_out=[int(n)])) for n in numbers}
        grown = moved.units(base, moved.run(grown=1.0))
    where = min(sites, key=sites.__getitem__)
    dropped, e_lambda = Seen(sites[where], where), Seen(grown)
    return replace(power, dropped=dropped, e_lambda=e_lambda, tried=len(sites), sites=len(names))


class _Moved:
    """Runs a probed graph on one case."""

    def __init__(self, runner: Runner, case: Case, judge: Judge, sites: int) -> None:
        self._runner, self._judge, self._sites = runner, judge, sites
        specs = [s for s in runner.inputs if not s.name.startswith("probe/")]
        self._feeds = case.feeds(specs)

    def run(self, left_out: tuple[int, ...] | list[int] = (), grown: float = 0.0) -> Feeds:
        """Compute the outputs with a fault."""
        return self._runner.run({**self._feeds, **switches(self._sites, left_out, grown)})

    def units(self, base: Feeds, faulty: Feeds) -> float:
        """Give the most that any slice moved, in units of its bound."""
        ours, theirs = self._judge.behaviour.layout.arranged(base, faulty)
        return max(self._moved(name, ours[name], theirs[name]) for name in ours)

    def _moved(self, name: str, base: Array, faulty: Array) -> float:
        if base.shape != faulty.shape or not base.size:
            return 0.0
        off = changes(base, faulty, self._judge.batch)
        _, allowed = self._judge.bounds(name, base)
        errors = largest(np.where(np.isfinite(off), off, 0.0))
        return max(
            float(ratio(e, a).max(initial=0.0)) for e, a in zip(errors, allowed, strict=True)
        )


def _score(recorded: Mapping[Case, Feeds], judge: Callable[[Case], Judge], output: str) -> float:
    """Give the least that a slice off by a twentieth moves, in units of its bound.

    A slice counts in the row that shows it best, and not if it is 0 in all.
    """
    best: dict[tuple[int, int], Array] = {}
    for case, outputs in recorded.items():
        if is_discrete(outputs[output]) or not outputs[output].size:
            return np.inf
        sizes, allowed = judge(case).bounds(output, outputs[output])
        for axis, (size, bound) in enumerate(zip(sizes, allowed, strict=True)):
            shown = ratio(SCORE * size, bound).max(axis=0)
            key = axis, len(shown)
            best[key] = np.maximum(best.get(key, shown), shown)
    return min(float(each.min()) for each in best.values())

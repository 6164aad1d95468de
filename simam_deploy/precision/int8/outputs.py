"""Outputs: does int8 cost them more than it must in this network?

Every quantised tensor of the float32 graph is clipped to its best range and rounded (`noise`);
every quantised weight likewise. The change of an output (RMS, over the RMS of the output) is what
int8 must cost: of the whole, and of each slice of `slices`. A candidate may cost twice that: one
bit. Correct ones came to 0.98 (a trained yolov8n, 64 layers), 1.00 (mobilenet_v2) and 0.94
(preresnet56) times it. A slice may cost more where chance may make it so (`chance`): 1.7 times was
seen of one among 189 cells. Indices (ArgMax, TopK) flip where two values are close: their number is
what is judged, by the same rule. Sets are not compared, whose rows change places, but what they are
selected from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.core.validation import CaseResult
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.selection.outputs import without_sets
from simam_deploy.precision.int8.compare import compare
from simam_deploy.precision.int8.noise import disturb
from simam_deploy.precision.int8.placement import Placement
from simam_deploy.precision.int8.runs import Runs
from simam_deploy.precision.int8.slices import Change, Tally, is_counted, magnitudes
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.protocol import Closing

DRAWS = 8
"""Of the noise. Of 4, one class among the 1000 of a correct mobilenet_v2, judged on 4 samples, came
to 1.06 times its bound, and of a correct preresnet56 the whole to 0.796 of what was expected."""


class Expected(Closing):
    """What int8 must cost the outputs of a network: to hold candidates against.

    Args:
        original: Reads the float32 graph, to be used up.
        place: Chooses what is quantised in a float32 graph.
        ranges: By tensor, to what it is clipped.
        runs: Samples.
    """

    def __init__(
        self,
        original: Callable[[], ir.Model],
        place: Callable[[ir.Model], Placement],
        ranges: Mapping[str, float],
        runs: Runs,
    ) -> None:
        self._exact = Exact(original(), runs)
        self._drawn = []
        for seed in range(DRAWS):
            model = original()
            placement = place(model)
            disturb(model, placement, ranges, seed)
            self._drawn.append(self._exact.changes(model))
        self._case = f"{placement.numbers.name}, {runs.samples} samples"

    def judge(self, candidate: ir.Model) -> tuple[CaseResult, ...]:
        """Compare every output's cost with what int8 must cost it.

        Args:
            candidate: The int8 graph; it is used up.

        Returns:
            For each output and way to cut it the worst slices (`compare`).
        """
        got = self._exact.changes(candidate)
        return tuple(
            result
            for name, size in self._exact.sizes.items()
            for result in compare(
                self._case,
                name,
                size,
                got[name],
                [draw[name] for draw in self._drawn],
                name in self._exact.counted,
            )
        )

    def close(self) -> None:
        """Forget the exact outputs."""
        self._exact.close()


class Exact(Closing):
    """What the float32 network gives on all samples: on disk, and sums of its squares in memory."""

    def __init__(self, model: ir.Model, runs: Runs) -> None:
        self.sizes: dict[str, Tally] = {}
        self.counted: set[str] = set()
        self._runs = runs
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        with run_graph(without_sets(typed(model))) as runner:
            for feeds in runs:
                for name, array in runner.run(feeds).items():
                    np.save(self._file, array, allow_pickle=False)
                    self.sizes.setdefault(name, Tally()).add(magnitudes(array), _batch(feeds))
                    if is_counted(array):
                        self.counted.add(name)

    def changes(self, model: ir.Model) -> dict[str, Change]:
        """Give by how much another model's outputs differ; it is used up."""
        found = {name: Change() for name in self.sizes}
        self._file.seek(0)
        with run_graph(without_sets(typed(model))) as runner:
            for feeds in self._runs:
                got = runner.run(feeds)
                for name, change in found.items():
                    exact = np.load(self._file, allow_pickle=False)
                    change.add(exact, got.get(name), _batch(feeds))
        return found

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


def _batch(feeds: Mapping[str, Array]) -> int:
    return len(next(iter(feeds.values())))

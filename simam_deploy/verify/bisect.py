"""Find the nodes that a half network must keep in float32, by divide and conquer.

A conversion is tried with a set of nodes kept, its rounding shown, and its outputs held against
the reference's. Of nodes in the order of the graph, halves are kept and given up in turn
(QuickXplain: Junker, "QUICKXPLAIN: Preferred Explanations and Relaxations for Over-Constrained
Problems", AAAI 2004): k nodes out of n take about 2 k log2(n / k) + 2 k trials. None of those
found can be given up alone; another set may be as small.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import onnx_ir as ir

from simam_deploy.core.progress import Progress
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.passes.opset import convert_opset
from simam_deploy.graph.types import LEAST_OPSET, precision_name
from simam_deploy.precision.half.half import half_nodes, to_half
from simam_deploy.verify.report import Bisection

TRIALS = 128
"""Each converts the network and runs every case: 0.14 s for a preresnet20 of 32x32 on one core."""


def bisect(
    original: Callable[[], ir.Model],
    dtype: ir.DataType,
    passes: Callable[[ir.Model], bool],
    progress: Progress,
    trials: int = TRIALS,
) -> Bisection:
    """Find a smallest set of nodes to keep.

    Args:
        original: Reads the float32 graph, plain ops, to be used up.
        dtype: The half type.
        passes: Tells whether a converted graph's outputs are within their bound.
        progress: Told every trial.
        trials: How many conversions may be run.

    Returns:
        The set; empty where a fresh conversion passes as it is.

    Raises:
        InputError: The graph cannot be converted.
    """
    nodes = half_nodes(prepared(original(), dtype), dtype)
    search = Search(lambda keep: passes(convert(original(), dtype, keep)), progress, trials)
    if not search.passes(nodes):
        return Bisection((), len(nodes), search.count, False, NOT_PRECISION)
    minimal = False
    with suppress(TrialsSpentError):
        kept = [] if search.passes(()) else search.divide((), False, nodes)
        # Rounding is drawn anew by every set: that this very one passes has to be seen.
        minimal = set(kept) == set(search.best) or search.passes(kept)
    in_order = tuple(node for node in nodes if node in search.best)
    return Bisection(in_order, len(nodes), search.count, minimal)


NOT_PRECISION = (
    "with every node in float32 the outputs are still beyond the bound: it is not the precision"
)


class TrialsSpentError(Exception):
    """No trial is left."""


class Search:
    """Counts trials and remembers the smallest set that passed."""

    def __init__(
        self,
        trial: Callable[[Collection[str]], bool],
        progress: Progress,
        trials: int,
    ) -> None:
        self.count = 0
        self.best: Sequence[str] = ()
        self._trial, self._progress, self._trials = trial, progress, trials

    def passes(self, keep: Sequence[str]) -> bool:
        """Run one trial."""
        if self.count >= self._trials:
            raise TrialsSpentError
        self.count += 1
        passed = self._trial(keep)
        if passed and (self.count == 1 or len(keep) <= len(self.best)):
            self.best = keep
        verdict = "passes" if passed else "fails"
        self._progress(f"trial {self.count}: {len(keep)} nodes in float32: {verdict}")
        return passed

    def divide(self, kept: Sequence[str], grown: bool, nodes: Sequence[str]) -> list[str]:
        """Give the nodes that are needed beside `kept`, which was just `grown` or not."""
        if grown and self.passes(kept):
            return []
        if len(nodes) == 1:
            return list(nodes)
        first, second = nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]
        late = self.divide([*kept, *first], True, second)
        early = self.divide([*kept, *late], bool(late), first)
        return [*early, *late]


def convert(model: ir.Model, dtype: ir.DataType, keep: Collection[str]) -> ir.Model:
    """Make a float32 graph half but for the nodes named in `keep`; it is used up.

    Raises:
        InputError: It cannot be converted.
    """
    model = prepared(model, dtype)
    to_half(model, dtype, keep=keep)
    return model


def prepared(model: ir.Model, dtype: ir.DataType) -> ir.Model:
    """Give every value a type, every node a name of its own, and bfloat16 the opset it needs."""
    model = convert_opset(model, LEAST_OPSET.get(precision_name(dtype), 0))
    model = typed(model)
    names: set[str] = set()
    for node in model.graph:
        if not node.name or node.name in names:
            node.name = f"{node.op_type} of {node.outputs[0].name}"
        names.add(node.name)
    return model

"""A graph whose SimAM can be left out and given another lambda, a run at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.lower.gate import by_mul
from simam_deploy.graph.lower.portable import RANK, on_planes
from simam_deploy.graph.prepare import plain
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.graph.tape import Scalar, Tape

_LEFT_OUT, _GROWN = "probe/left_out", "probe/lambda_grown"


def probed(model: ir.Model) -> tuple[ir.Model, tuple[str, ...]]:
    """Write out every SimAM node with a switch.

    Args:
        model: One node a SimAM, float32; it is used up.

    Returns:
        The graph, with two more inputs (see `switches`), and the sites' names.
    """
    names = tuple(node.name or "" for node in simam_nodes(model))
    numbers = iter(range(len(names)))
    left_out = _switch(model.graph, _LEFT_OUT, len(names))
    grown = _switch(model.graph, _GROWN, 1)

    def emit(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
        number = tape.op("Gather", left_out, tape.constant([next(numbers)]))
        factor = tape.op("Add", 1.0, grown)
        y = on_planes(tape, x, by_mul, tape.product(e_lambda, factor), ratio)
        return tape.op("Add", y, tape.op("Mul", tape.op("Sub", x, y), number))

    expand(model, emit, RANK)
    return plain(model), names


def switches(count: int, left_out: Sequence[int] = (), grown: float = 0.0) -> Feeds:
    """Give the feeds that leave some of `count` sites out (y = x) and grow every lambda.

    Args:
        count: Of the sites.
        left_out: Numbers of sites.
        grown: 1 doubles.
    """
    which: Array = np.zeros((count, 1, 1, 1), np.float32)
    which[list(left_out)] = 1.0
    return {_LEFT_OUT: which, _GROWN: np.full((1, 1, 1, 1), grown, np.float32)}


def _switch(graph: ir.Graph, name: str, count: int) -> ir.Value:
    value = ir.val(name, dtype=ir.DataType.FLOAT, shape=(count, 1, 1, 1))
    graph.inputs.append(value)
    return value

"""What a graph's inputs and outputs are called."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import onnx_ir as ir


def name_ends(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Name a graph's inputs and outputs, and anew what inside has one of their names."""
    graph = model.graph
    inner = [*graph.initializers.values(), *(v for node in graph.all_nodes() for v in node.outputs)]
    taken = {*inputs, *outputs, *(value.name for value in (*graph.inputs, *inner))}
    for value in [value for value in inner if value.name in (*inputs, *outputs)]:
        value.name = next(n for i in itertools.count(1) if (n := f"{value.name}_{i}") not in taken)
        taken.add(value.name)
    for value, name in zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True):
        value.name = name

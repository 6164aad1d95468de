"""Fix a batch that is free by name alone: somebody wrote one size into a Reshape behind it."""

from __future__ import annotations

import onnx_ir as ir


def fix_batch(model: ir.Model, batch: int) -> None:
    """Write a batch where inputs have a free first size, in place; what follows is left open.

    The sizes behind it, those of the outputs too, come from ONNX's shape inference.
    """
    graph = model.graph
    for value in graph.inputs:
        if value.shape and not isinstance(value.shape[0], int):
            value.shape = ir.Shape([batch, *list(value.shape)[1:]])
    for value in (*graph.outputs, *(v for node in graph for v in node.outputs)):
        if value.shape and not isinstance(value.shape[0], int):
            value.shape = ir.Shape([None, *list(value.shape)[1:]])

"""Keep names apart: what a pass names may be what somebody's file calls something else."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass
from onnx_ir.traversal import RecursiveGraphIterator


def keep_apart(model: ir.Model) -> None:
    """Rename, in place, inner values and nodes whose name another has; inputs and outputs keep it.

    What has no name keeps none: an optional output that is named is one that is asked for.
    """
    nodes = [*RecursiveGraphIterator(model.graph)]
    for function in model.functions.values():
        nodes += RecursiveGraphIterator(function)
    unnamed = [node for node in nodes if not node.name]
    unasked = [value for node in nodes for value in node.outputs if not value.name]
    NameFixPass()(model)
    for node in unnamed:
        node.name = ""
    for value in unasked:
        value.name = ""

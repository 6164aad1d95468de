"""Remove what is computed twice or for nobody.

By onnx_ir's own passes, which know what is easy to forget: that outputs keep their names, that
a value may be read inside an If, that a batch norm's second output may go and its first may not.

Rules:
    1. Two nodes of the same op, inputs and attributes become one, and not where any node of the
       graph may give two results for one input: Bernoulli and a training Dropout, which the pass
       merges, and ops of domains that are unknown here.
    2. A node or an initializer that nothing reads goes, unless it is an input or an output.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import CommonSubexpressionEliminationPass, RemoveUnusedNodesPass

from simam_deploy.op import contract

_TRAINING_MODE = 2
"""Dropout's input of that name."""


def tidy(model: ir.Model) -> bool:
    """Apply both rules.

    Returns:
        Whether the graph changed.
    """
    changed = False
    if not any(_may_vary(node) for node in model.graph.all_nodes()):
        changed = CommonSubexpressionEliminationPass()(model).modified
    return RemoveUnusedNodesPass()(model).modified or changed


def _may_vary(node: ir.Node) -> bool:
    """Rule 1."""
    if node.domain not in ("", contract.DOMAIN):
        return True
    training = node.op_type == "Dropout" and len(node.inputs) > _TRAINING_MODE
    return training or node.op_type == "Bernoulli"

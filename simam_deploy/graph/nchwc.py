"""SimAM's nodes among blocks of channels, in a graph that ONNX Runtime has written.

Its convolutions on a CPU keep maps as (N, C / block, H, W, block), and its optimiser lays a
ReorderOutput in front of a node that it does not know and a ReorderInput behind it (the domain
com.microsoft.nchwc). SimAM is computed channel by channel and can take the blocks as they are. What
becomes of the graph holds for the machine and the version that wrote it, as the graph itself does.
"""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op import contract

_REORDERED = "com.microsoft.nchwc"
_BLOCKED = f"{contract.DOMAIN}.nchwc"
_RESIDUAL = 3  # among the inputs of a node that has one


def take_blocks(model: ir.Model, block: int) -> int:
    """Have SimAM's nodes take maps in blocks, in place.

    Args:
        model: As ONNX Runtime wrote it.
        block: Channels of a block: 8 or 16.

    Returns:
        How many reorders that saves, 0 or less where they are better left as they are: the graph is
        then not to be used.
    """
    before = _reorders(model.graph)
    for node in simam_nodes(model):
        source = _made_by("ReorderOutput", node.inputs[0])
        if source is not None:
            _move(model.graph, node, source, block)
    _cancel(model.graph)
    model.graph.opset_imports[_BLOCKED] = 1
    return before - _reorders(model.graph)


def _reorders(graph: ir.Graph) -> int:
    return sum(node.domain == _REORDERED and "Reorder" in node.op_type for node in graph)


def _made_by(op_type: str, value: ir.Value | None) -> ir.Node | None:
    """Give the reorder between (N, C, H, W) and blocks that makes a value, if one does."""
    node = None if value is None else value.producer()
    if node is None or (node.domain, node.op_type) != (_REORDERED, op_type):
        return None
    return None if node.attributes.get_int("channels_last", 0) else node


def _move(graph: ir.Graph, node: ir.Node, source: ir.Node, block: int) -> None:
    """Put a node in front of the reorder before it, which then stands behind."""
    channels = source.attributes["channels"]
    attributes = [*node.attributes.values(), ir.AttrInt64("block", block), channels]
    inputs, before = [source.inputs[0], *node.inputs[1:]], []
    if len(inputs) > _RESIDUAL:
        before = [_reorder("ReorderInput", inputs[_RESIDUAL], [])]
        inputs[_RESIDUAL] = before[0].outputs[0]
    moved = ir.Node(_BLOCKED, node.op_type, inputs, attributes, name=node.name)
    moved.outputs[0].name = f"{node.outputs[0].name}_in_blocks"
    behind = _reorder("ReorderOutput", moved.outputs[0], [channels])
    (old,), (new,) = node.outputs, behind.outputs
    new.name, new.shape, new.type = old.name, old.shape, old.type
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [*before, moved, behind], [old], [new]
    )


def _reorder(op_type: str, value: ir.Value | None, attributes: list[ir.Attr]) -> ir.Node:
    assert value is not None
    node = ir.Node(_REORDERED, op_type, [value], attributes)
    node.outputs[0].name = f"{value.name}_{op_type}"
    return node


def _cancel(graph: ir.Graph) -> None:
    """Take blocks that were laid out and put back as they were, each once; drop what none reads."""
    found: dict[ir.Value, ir.Value] = {}
    for node in graph:
        if _made_by("ReorderInput", node.outputs[0]) is None:
            continue
        (given,), (blocks,) = node.inputs, node.outputs
        assert given is not None
        source = _made_by("ReorderOutput", given)
        same = source.inputs[0] if source is not None else found.setdefault(given, blocks)
        if same is not None and same is not blocks:
            blocks.replace_all_uses_with(same)
    for node in reversed(graph):
        unused = all(not v.uses() and not v.is_graph_output() for v in node.outputs)
        if node.domain == _REORDERED and "Reorder" in node.op_type and unused:
            graph.remove(node, safe=True)

"""What lies around a graph's selections (NonMaxSuppression, TopK, RoIAlign): boxes and scores.

A coordinate of 640 pixels has steps of 0.5 in float16, of 4 in bfloat16, and scores whose order
decides are told apart by less than half's steps. Of a Faster R-CNN, RPN and box head rounded to
float16 move scores by 2.3e-2 and decoded boxes by 0.35 pixels; its maps rounded so, 4e-3 and 0.06.
"""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.types import LAYERS
from simam_deploy.op import contract, detection

_MAPS = {"RoiAlign": (0,), detection.ALIGN_OP_TYPE: (1, 2, 3, 4)}
"""By op, the inputs that are feature maps. ONNX's RoiAlign has its RoIs in their type."""
_SELECTING = ("NonMaxSuppression", "TopK", "RoiAlign")
_OURS = (detection.NMS_OP_TYPE, detection.ALIGN_OP_TYPE)


def around_selections(graph: ir.Graph) -> set[ir.Node]:
    """Find the nodes that give a selection what it selects by or from, and what is made of that.

    Back to the layers that give it and with them; forward as long as nothing else is read. Feature
    maps are no such thing.
    """
    found = {node for node in graph if node.op_type == "RoiAlign" and not node.domain}
    behind = _behind(graph)
    starts = (node for node in graph if _selects(node) or (node in behind and _picks(node)))
    left = [node for start in starts for node in _given(start)]
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left += [] if _is_layer(node) else _given(node)
    for node in graph:
        sources = set(_given(node))
        if sources and sources <= found and not _is_layer(node) and not _reads_maps(node):
            found.add(node)
    return found


def _behind(graph: ir.Graph) -> set[ir.Node]:
    """Find what is computed from a selection, up to the next layers and maps."""
    found: set[ir.Node] = set()
    for node in graph:
        reached = any(each in found or _selects(each) for each in _given(node))
        if reached and not _is_layer(node) and not _reads_maps(node):
            found.add(node)
    return found


def _picks(node: ir.Node) -> bool:
    return not node.domain and node.op_type in ("Gather", "GatherElements", "GatherND")


def _selects(node: ir.Node) -> bool:
    if node.domain == contract.DOMAIN:
        return node.op_type in _OURS
    return not node.domain and node.op_type in _SELECTING


def _reads_maps(node: ir.Node) -> bool:
    return node.domain == contract.DOMAIN and node.op_type in _MAPS


def _given(node: ir.Node) -> list[ir.Node]:
    """List what makes a node's inputs, but for maps."""
    maps = _MAPS.get(node.op_type, ())
    read = (value for i, value in enumerate(node.inputs) if value is not None and i not in maps)
    return [producer for value in read if (producer := value.producer()) is not None]


def _is_layer(node: ir.Node) -> bool:
    return not node.domain and node.op_type in LAYERS

"""BatchedNMS by ONNX's NonMaxSuppression, the groups as its classes.

Its classes share the boxes; a box has a score in its own group and `NOTHING` in the others, which
is its threshold too. An inverted box, whose corners it would swap, is given no extent.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from simam_deploy.graph.body_tape import LoopTape
from simam_deploy.op.detection import NOTHING


def by_non_max_suppression(tape: LoopTape, inputs: Sequence[ir.Value]) -> ir.Value:
    """Emit kept, (B, M), of the operator's inputs."""
    boxes, scores, groups = inputs
    low, high = (
        tape.op("Gather", boxes, tape.constant(pair), attributes={"axis": 2})
        for pair in ([0, 1], [2, 3])
    )
    upright = tape.op("Concat", low, tape.op("Max", low, high), attributes={"axis": 2})
    most = tape.op("Shape", scores, attributes={"start": 1, "end": 2})
    selected = tape.op(
        "NonMaxSuppression",
        upright,
        _by_group(tape, scores, groups),
        most,
        tape.attribute("iou_threshold"),
        NOTHING,
    )
    places = tape.op("Gather", selected, tape.constant([0, 2]), attributes={"axis": 1})
    number = tape.op("Shape", places, attributes={"start": 0, "end": 1})
    none = tape.op("ConstantOfShape", tape.op("Shape", scores))
    flags = tape.op("ScatterND", none, places, tape.op("Expand", 1.0, number))
    return tape.op("Where", tape.op("Greater", flags, 0.5), scores, NOTHING)


def _by_group(tape: LoopTape, scores: ir.Value, groups: ir.Value) -> ir.Value:
    """Emit the scores (B, G, M): a row a group, `NOTHING` where a box is of another."""
    one = tape.constant([1])
    rows = tape.op("Unsqueeze", scores, one)
    if tape.known("num_groups") == 1:
        return rows
    number = tape.attribute("num_groups", ir.AttributeType.INT)
    order = tape.op("Range", tape.constant(0), number, tape.constant(1))
    order = tape.op("Reshape", order, tape.constant([1, -1, 1]))
    own = tape.op("Equal", tape.op("Unsqueeze", groups, one), order)
    return tape.op("Where", own, rows, NOTHING)

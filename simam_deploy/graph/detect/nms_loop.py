"""BatchedNMS as a fixed point, for runtimes without NonMaxSuppression.

With A[i, j] where box j goes before box i and overlaps it in its group, the boxes that are kept
are the only solution of

    keep[i] = valid[i] and no j with A[i, j] and keep[j]

since A has no circle. From keep = valid on, a round settles every box whose predecessors are
settled: M rounds at most, 10 for 1000 boxes in 20 pixels. One round is a product of A and a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from simam_deploy.graph.body_tape import LoopTape
from simam_deploy.graph.detect.rois import column, sides
from simam_deploy.op.detection import NOTHING

_TINY = float(np.finfo(np.float32).tiny)
"""For the union of two boxes without an area, whose intersection is 0."""


def by_rounds(tape: LoopTape, inputs: Sequence[ir.Value]) -> ir.Value:
    """Emit kept, (B, M), of the operator's inputs."""
    boxes, *rest = inputs
    scores, groups = (tape.op("Unsqueeze", v, tape.constant([2])) for v in rest)
    same = tape.op("Equal", groups, _row(tape, groups))
    against = tape.op("And", _overlap(tape, boxes), tape.op("And", _before(tape, scores), same))
    matrix = tape.op("Cast", against, attributes={"to": tape.dtype})
    valid = tape.op("Greater", scores, NOTHING)
    valid = tape.op("Cast", valid, attributes={"to": tape.dtype})

    def trip(inner: LoopTape, _: ir.Value, keep: ir.Value) -> tuple[ir.Value, ir.Value]:
        free = inner.op("Less", inner.op("MatMul", matrix, keep), 0.5)
        free = inner.op("Cast", free, attributes={"to": inner.dtype})
        settled = inner.op("Mul", free, valid)
        change = inner.op("Abs", inner.op("Sub", settled, keep))
        most = inner.op("ReduceMax", change, attributes={"keepdims": 0})
        return settled, inner.op("Greater", most, 0.5)

    keep = tape.loop(_number(tape, scores), valid, trip)
    kept = tape.op("Where", tape.op("Greater", keep, 0.5), scores, NOTHING)
    return tape.op("Squeeze", kept, tape.constant([2]))


def _row(tape: LoopTape, value: ir.Value) -> ir.Value:
    """Emit (B, M, 1) as (B, 1, M)."""
    return tape.op("Transpose", value, attributes={"perm": [0, 2, 1]})


def _number(tape: LoopTape, scores: ir.Value) -> ir.Value:
    """Emit M, an int64 scalar."""
    return tape.op("Gather", tape.op("Shape", scores), tape.constant(1))


def _before(tape: LoopTape, scores: ir.Value) -> ir.Value:
    """Emit whether box j goes before box i: its score is higher, or equal and it stands before."""
    order = tape.op("Range", tape.constant(0), _number(tape, scores), tape.constant(1))
    place = tape.op("Reshape", order, tape.constant([1, -1, 1]))
    first = tape.op("Less", _row(tape, place), place)
    theirs = _row(tape, scores)
    tied = tape.op("And", tape.op("Equal", theirs, scores), first)
    return tape.op("Or", tape.op("Greater", theirs, scores), tied)


def _overlap(tape: LoopTape, boxes: ir.Value) -> ir.Value:
    """Emit whether boxes i and j overlap by more than iou_threshold, (B, M, M).

    By a division, as NonMaxSuppression and mmcv have it: a pair at exactly the threshold is then
    judged alike.
    """
    within = tape.op("Mul", *(_common(tape, boxes, axis) for axis in (0, 1)))
    area = tape.op("Mul", *sides(tape, boxes))
    both = tape.op("Add", area, _row(tape, area))
    union = tape.op("Max", tape.op("Sub", both, within), _TINY)
    return tape.op("Greater", tape.op("Div", within, union), tape.attribute("iou_threshold"))


def _common(tape: LoopTape, boxes: ir.Value, axis: int) -> ir.Value:
    """Emit what boxes i and j have in common along x (0) or y (1)."""
    low, high = column(tape, boxes, axis), column(tape, boxes, axis + 2)
    end = tape.op("Min", high, _row(tape, high))
    return tape.op("Max", tape.op("Sub", end, tape.op("Max", low, _row(tape, low))), 0.0)

"""Which level of the pyramid a RoI is read from, in plain ops."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.body_tape import LoopTape
from simam_deploy.op.detection import STRIDES

_LEAST = 1e-6
"""Added to a RoI's size over finest_scale, by the contract."""
_FIRST_SIZES = tuple(2.0**level for level in range(1, len(STRIDES)))


def column(tape: LoopTape, boxes: ir.Value, index: int) -> ir.Value:
    """Emit one coordinate of boxes (N, R, 4), as (N, R, 1)."""
    return tape.op("Gather", boxes, tape.constant([index]), attributes={"axis": 2})


def sides(tape: LoopTape, boxes: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Emit width and height of boxes (N, R, 4), (N, R, 1) each, 0 where a box is inverted."""
    width, height = (
        tape.op("Sub", column(tape, boxes, axis + 2), column(tape, boxes, axis)) for axis in (0, 1)
    )
    return tape.op("Max", width, 0.0), tape.op("Max", height, 0.0)


def level_of(tape: LoopTape, rois: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Emit the level of each of the RoIs (N, R, 4), and whether it has an area.

    floor(log2(v)) is k or more exactly where v is 2^k or more: no logarithm, whose rounding
    would send a RoI of exactly twice a size to either level.

    Returns:
        The level, int64, and whether, bool: (N, R, 1).
    """
    area = tape.op("Mul", *sides(tape, rois))
    size = tape.op("Div", tape.op("Sqrt", area), tape.attribute("finest_scale"))
    reached = tape.op("GreaterOrEqual", tape.op("Add", size, _LEAST), tape.constant(_FIRST_SIZES))
    ones = tape.op("Cast", reached, attributes={"to": tape.dtype})
    level = tape.op("ReduceSum", ones, tape.constant([2]), attributes={"keepdims": 1})
    whole = tape.op("Cast", level, attributes={"to": ir.DataType.INT64})
    return whole, tape.op("Greater", area, 0.0)

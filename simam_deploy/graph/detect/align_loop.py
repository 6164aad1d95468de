"""MultilevelRoIAlign by a Loop over samples, for runtimes without RoiAlign: exact at any number.

The maps lie below each other in one atlas, and trip k reads sample k of every bin of every RoI by
one GridSample. A RoI's samples are counted through row by row, by its own number a row, so that
the trips are as many as the largest bin has samples: for RoIs of a level that is not the last, of
at most 28 x 28 cells, 16 and what rounding up adds, though an elongated one has 16 in one row.
The rows of all by the columns of all would make 256.

    k = row * nx + column;  y = y1 + bin * (iy + 0.5) / ny;  weight = 1 / (ny * nx) or 0

GridSample takes positions from -1 to 1, of the data's type: maps in half are cast, since half a
position of 2^-11 of the atlas is a pixel. In float32 it is 2e-5 of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from simam_deploy.graph.body_tape import LoopTape
from simam_deploy.graph.detect.rois import column, level_of
from simam_deploy.op.detection import STRIDES

_NAMED_LINEAR_SINCE = 20
"""GridSample's mode is "bilinear" below."""


@dataclass(frozen=True)
class _Atlas:
    """The maps below each other, float32, with tables by level, (4,), and sizes, scalars."""

    image: ir.Value
    heights: ir.Value
    widths: ir.Value
    tops: ir.Value
    height: ir.Value
    width: ir.Value


@dataclass(frozen=True)
class _Axis:
    """One direction of all RoIs.

    Attributes:
        first: Where bins begin, in cells of the level's map: (N, R, S, 1) or (N, R, 1, S).
        bin: A bin's extent; this and what follows, (N, R, 1, 1).
        samples: Of a bin, 0 where there is none.
        divisor: The same, and 1 where there is none.
        size: Of the level's map.
        last: Its last cell, size - 1.
        top: Where that begins in the atlas.
        whole: The atlas's own size, a scalar.
    """

    first: ir.Value
    bin: ir.Value
    samples: ir.Value
    divisor: ir.Value
    size: ir.Value
    last: ir.Value
    top: ir.Value | float
    whole: ir.Value


def by_grid_samples(tape: LoopTape, inputs: Sequence[ir.Value]) -> ir.Value:
    """Emit y, (N*R, C, S, S), of the operator's inputs."""
    rois, *maps = inputs
    level, solid = level_of(tape, rois)
    atlas = _atlas(tape, maps)
    bins = tape.attribute("output_size", ir.AttributeType.INT)
    columns = _axis(tape, rois, 0, level, (atlas.widths, None, atlas.width), bins)
    rows = _axis(tape, rois, 1, level, (atlas.heights, atlas.tops, atlas.height), bins)
    number = tape.op("Mul", rows.samples, columns.samples)
    count = tape.op("Where", _deep(tape, solid), number, 0.0)
    shapes = _Shapes(tape, rois, maps[0], bins)
    samples = _Samples(tape, columns, rows, count, shapes)

    def trip(inner: LoopTape, index: ir.Value, so_far: ir.Value) -> tuple[ir.Value, None]:
        grid, weight = samples.at(inner, index)
        weighted = inner.op("Mul", _sampled(inner, atlas.image, grid), weight)
        return inner.op("Add", so_far, weighted), None

    most = tape.op("ReduceMax", count, attributes={"keepdims": 0})
    trips = tape.op("Cast", most, attributes={"to": ir.DataType.INT64})
    total = tape.loop(trips, tape.op("Expand", 0.0, shapes.of_sum), trip)
    return tape.like(shapes.rows_first(tape, total), maps[0])


def _atlas(tape: LoopTape, maps: Sequence[ir.Value]) -> _Atlas:
    """Emit the maps below each other, padded on the right to the widest."""
    heights, widths = ([_size(tape, x, axis) for x in maps] for axis in (2, 3))
    widest = tape.op("Max", *widths)
    tops = [tape.constant([0])]
    for height in heights:
        tops.append(tape.op("Add", tops[-1], height))
    padded = []
    for x, width in zip(maps, widths, strict=True):
        missing = tape.op("Sub", widest, width)
        pads = tape.op("Concat", tape.constant([0] * 7), missing, attributes={"axis": 0})
        padded.append(tape.op("Pad", tape.wide(x), pads))
    image = tape.op("Concat", *padded, attributes={"axis": 2})
    tables = {"heights": heights, "widths": widths, "tops": tops[:-1]}
    sizes = {"height": tops[-1:], "width": [widest]}
    return _Atlas(image, **{name: _numbers(tape, of) for name, of in (tables | sizes).items()})


def _size(tape: LoopTape, x: ir.Value, axis: int) -> ir.Value:
    """Emit one of x's sizes, (1,) int64."""
    return tape.op("Shape", x, attributes={"start": axis, "end": axis + 1})


def _numbers(tape: LoopTape, sizes: Sequence[ir.Value]) -> ir.Value:
    """Emit sizes, (1,) int64 each, as one float32 vector."""
    together = tape.op("Concat", *sizes, attributes={"axis": 0})
    return tape.op("Cast", together, attributes={"to": tape.dtype})


def _deep(tape: LoopTape, value: ir.Value) -> ir.Value:
    """Emit (N, R, 1) as (N, R, 1, 1)."""
    return tape.op("Unsqueeze", value, tape.constant([3]))


def _axis(
    tape: LoopTape,
    rois: ir.Value,
    axis: int,
    level: ir.Value,
    places: tuple[ir.Value, ir.Value | None, ir.Value],
    bins: ir.Value,
) -> _Axis:
    """Emit one direction.

    Args:
        tape: Where to.
        rois: (N, R, 4).
        axis: 0 for x, 1 for y.
        level: Of each RoI, (N, R, 1).
        places: By level the maps' sizes and tops (None for 0), and the atlas's size.
        bins: S, an int64 scalar.
    """
    sizes, tops, whole = places

    def of_level(table: ir.Value) -> ir.Value:
        return _deep(tape, tape.op("Gather", table, level))

    scale = of_level(tape.constant([1 / stride for stride in STRIDES]))
    low, high = (
        tape.op("Sub", tape.op("Mul", _deep(tape, column(tape, rois, i)), scale), 0.5)
        for i in (axis, axis + 2)
    )
    number = tape.op("Cast", bins, attributes={"to": tape.dtype})
    extent = tape.op("Div", tape.op("Sub", high, low), number)
    order = tape.op("Range", tape.constant(0), bins, tape.constant(1))
    order = tape.op("Cast", order, attributes={"to": tape.dtype})
    if axis == 1:
        order = tape.op("Unsqueeze", order, tape.constant([1]))
    first = tape.op("Add", low, tape.op("Mul", extent, order))
    top = 0.0 if tops is None else of_level(tops)
    samples, size = _samples(tape, extent), of_level(sizes)
    divisor, last = tape.op("Max", samples, 1.0), tape.op("Sub", size, 1.0)
    return _Axis(first, extent, samples, divisor, size, last, top, whole)


def _samples(tape: LoopTape, extent: ir.Value) -> ir.Value:
    """Emit how many samples a bin has: what is asked for, or its extent rounded up."""
    asked = tape.attribute("sampling_ratio", ir.AttributeType.INT)
    asked = tape.op("Cast", asked, attributes={"to": tape.dtype})
    adaptive = tape.op("Ceil", extent)
    return tape.op("Where", tape.op("Greater", asked, 0.0), asked, adaptive)


def _place(tape: LoopTape, axis: _Axis, index: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Emit where sample `index` of every bin lies in the atlas, from -1 to 1, and if it counts."""
    into = tape.op("Mul", tape.op("Add", index, 0.5), axis.bin)
    at = tape.op("Add", axis.first, tape.op("Div", into, axis.divisor))
    counts = tape.op(
        "And", tape.op("GreaterOrEqual", at, -1.0), tape.op("LessOrEqual", at, axis.size)
    )
    moved = tape.op("Min", tape.op("Max", at, 0.0), axis.last)
    twice = tape.op("Mul", tape.op("Add", moved, axis.top), 2.0)
    return tape.op("Sub", tape.op("Div", tape.op("Add", twice, 1.0), axis.whole), 1.0), counts


def _sampled(tape: LoopTape, image: ir.Value, grid: ir.Value) -> ir.Value:
    mode = "linear" if tape.since(_NAMED_LINEAR_SINCE) else "bilinear"
    attributes = {"mode": mode, "padding_mode": "border", "align_corners": 0}
    return tape.op("GridSample", image, grid, attributes=attributes)


class _Samples:
    """Where sample k of every bin lies, and what it counts.

    Args:
        tape: Where to, outside of the Loop.
        columns: The directions.
        rows: As well.
        count: How many samples a bin of each RoI has, (N, R, 1, 1).
        shapes: Of the bins.
    """

    def __init__(
        self, tape: LoopTape, columns: _Axis, rows: _Axis, count: ir.Value, shapes: _Shapes
    ) -> None:
        self._columns, self._rows, self._count, self._shapes = columns, rows, count, shapes
        self._share = tape.op("Div", 1.0, tape.op("Max", count, 1.0))

    def at(self, tape: LoopTape, index: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Emit the grid (N, R * S, S, 2) and the weights (N, 1, R * S, S) of sample `index`."""
        k = tape.op("Cast", index, attributes={"to": tape.dtype})
        a_row = self._columns.divisor
        # Half a sample on: a division that rounds down by a bit still ends in the right row.
        row = tape.op("Floor", tape.op("Div", tape.op("Add", k, 0.5), a_row))
        y, y_counts = _place(tape, self._rows, row)
        x, x_counts = _place(tape, self._columns, tape.op("Sub", k, tape.op("Mul", row, a_row)))
        inside = tape.op("And", y_counts, x_counts)
        counts = tape.op("And", inside, tape.op("Less", k, self._count))
        weight = tape.op("Mul", tape.op("Cast", counts, attributes={"to": tape.dtype}), self._share)
        flat = tape.op("Reshape", weight, self._shapes.of_weights)
        return self._shapes.grid(tape, x, y), flat


class _Shapes:
    """The shapes that bins are written in: N images of R RoIs, S x S bins, C channels.

    Attributes:
        of_sum: (N, C, R * S, S), as GridSample gives them.
        of_weights: The same of one channel.
    """

    def __init__(self, tape: LoopTape, rois: ir.Value, x: ir.Value, bins: ir.Value) -> None:
        self._side = tape.op("Reshape", bins, tape.constant([1]))
        self._channels = _size(tape, x, 1)
        images, number = _size(tape, rois, 0), _size(tape, rois, 1)
        height = tape.op("Mul", number, self._side)
        self.of_sum = _joined(tape, images, self._channels, height, self._side)
        self.of_weights = _joined(tape, tape.constant([0, 1, -1]), self._side)
        self._of_bins = _joined(tape, images, number, self._side, self._side)
        self._of_grid = _joined(tape, tape.constant([0, -1]), self._side, tape.constant([2]))

    def grid(self, tape: LoopTape, x: ir.Value, y: ir.Value) -> ir.Value:
        """Emit (N, R * S, S, 2) of positions (N, R, 1, S) and (N, R, S, 1)."""
        pair = [
            tape.op("Unsqueeze", tape.op("Expand", at, self._of_bins), tape.constant([4]))
            for at in (x, y)
        ]
        together = tape.op("Concat", *pair, attributes={"axis": 4})
        return tape.op("Reshape", together, self._of_grid)

    def rows_first(self, tape: LoopTape, total: ir.Value) -> ir.Value:
        """Emit (N * R, C, S, S) of (N, C, R * S, S)."""
        shape = _joined(tape, tape.constant([0, 0, -1]), self._side, self._side)
        parted = tape.op("Reshape", total, shape)
        turned = tape.op("Transpose", parted, attributes={"perm": [0, 2, 1, 3, 4]})
        rows = _joined(tape, tape.constant([-1]), self._channels, self._side, self._side)
        return tape.op("Reshape", turned, rows)


def _joined(tape: LoopTape, *sizes: ir.Value) -> ir.Value:
    return tape.op("Concat", *sizes, attributes={"axis": 0})

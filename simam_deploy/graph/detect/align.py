"""MultilevelRoIAlign by ONNX's RoiAlign: every map reads all RoIs, and the results are added.

A map reads the RoIs of other levels, and those without an area, as one that lies far outside of
it, of no extent: no sample, or none that counts, so 0 whatever the sampling ratio. One call a map
then serves a batch of any size, without NonZero, and the sum is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from simam_deploy.graph.body_tape import LoopTape
from simam_deploy.graph.detect.rois import level_of
from simam_deploy.op.detection import STRIDES

_ELSEWHERE = -65536.0
"""Pixels of the image: 2048 cells of the coarsest map outside of it."""


def by_roi_align(tape: LoopTape, inputs: Sequence[ir.Value]) -> ir.Value:
    """Emit y, (N*R, C, S, S), of the operator's inputs."""
    rois, *maps = inputs
    level, solid = level_of(tape, rois)
    images = images_of(tape, rois)
    parts = []
    for index, (x, stride) in enumerate(zip(maps, STRIDES, strict=True)):
        mine = tape.op("And", solid, tape.op("Equal", level, tape.constant(index)))
        rows = tape.op("Reshape", elsewhere(tape, mine, rois), tape.constant([-1, 4]))
        parts.append(aligned(tape, x, rows, images, stride))
    return tape.like(tape.op("Sum", *parts), maps[0])


def elsewhere(tape: LoopTape, there: ir.Value, rois: ir.Value) -> ir.Value:
    """Emit RoIs (N, R, 4), those that are not `there`, (N, R, 1) bool, where no map has a pixel."""
    return tape.op("Where", there, rois, _ELSEWHERE)


def images_of(tape: LoopTape, rois: ir.Value) -> ir.Value:
    """Emit which image of the batch each of N*R rows is of."""
    sizes = tape.op("Shape", rois, attributes={"start": 0, "end": 2})
    batch = tape.op("Gather", sizes, tape.constant(0))
    order = tape.op("Range", tape.constant(0), batch, tape.constant(1))
    spread = tape.op("Expand", tape.op("Unsqueeze", order, tape.constant([1])), sizes)
    return tape.op("Reshape", spread, tape.constant([-1]))


def aligned(tape: LoopTape, x: ir.Value, rows: ir.Value, images: ir.Value, stride: int) -> ir.Value:
    """Emit what RoIs (M, 4), each of an image, (M,), read from one map: (M, C, S, S) float32.

    All of RoiAlign's attributes are given: OpenVINO has another default for one.
    """
    names = {"output_height": "output_size", "output_width": "output_size"}
    names["sampling_ratio"] = "sampling_ratio"
    attributes = {
        **{name: tape.passed_on(name, own) for name, own in names.items()},
        "mode": "avg",
        "coordinate_transformation_mode": "half_pixel",
        "spatial_scale": 1 / stride,
    }
    return tape.op("RoiAlign", tape.wide(x), rows, images, attributes=attributes)

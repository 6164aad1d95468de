"""A detector's two operators on the GPU against the same bodies compiled by g++.

BatchedNMS is held to the bit, MultilevelRoIAlign within the rounding of its sums. Dry, the host's
are held against themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch

from gpu.compiled import missing_nvcc
from gpu.detection_cases import (
    DTYPES,
    LAYOUTS,
    AlignCase,
    NmsCase,
    aligner,
    device_library,
    draw_boxes,
    draw_rois,
    host_library,
    suppressor,
)
from gpu.setting import Setting
from gpu.table import Cell, Row

HALF_ULP = {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
_PICTURE = (256, 320)
ALIGNS = {
    f"{case}, {case.dtype}, {'-'.join(layouts)}".replace("torch.", ""): case
    for dtype, layouts, bins in itertools.product(DTYPES, LAYOUTS, (2, 7, 14))
    for case in [AlignCase(2, 20, bins, 48, dtype, layouts, _PICTURE)]
}
SUPPRESSIONS = {
    str(case): case
    for case in (
        NmsCase(1, 64, 300, 0.3),
        NmsCase(3, 700, 2, 0.5),
        NmsCase(1, 1000, 80, 0.5),
        NmsCase(1, 4507, 5, 0.7),
        NmsCase(8, 4507, 5, 0.7),
        NmsCase(1, 5000, 1, 0.7),
    )
}


def missing(setting: Setting) -> str:
    """Ask for nvcc."""
    return "" if setting.dry else missing_nvcc()


def cells(setting: Setting) -> Iterable[Cell]:
    """Give operator and case."""
    some = slice(1 if setting.dry else None)
    yield from (("MultilevelRoIAlign", case) for case in [*ALIGNS][some])
    yield from (("BatchedNMS", case) for case in [*SUPPRESSIONS][some])


def measure(cell: Cell, setting: Setting) -> Iterable[Row]:
    """Give the error over what is allowed, or how many boxes differ."""
    operator, case = cell
    if operator == "BatchedNMS":
        error, allowed = differing(SUPPRESSIONS[case], setting), 0.0
    else:
        error, allowed = excess(ALIGNS[case], setting), 1.0
    right = "yes" if error <= allowed else "no"
    yield {"error": f"{error:.2e}", "tolerance": f"{allowed:.1e}", "right": right}


def excess(case: AlignCase, setting: Setting) -> float:
    """Give the largest error over what two roundings of the same sum may come to."""
    given = draw_rois(case, setting.device)
    y = aligner(device_library(setting), case)(given).cpu().double()
    want = aligner(host_library(setting), case)(given.on("cpu")).double()
    allowed = 1e-6 * max(float(x.abs().max()) for x in given.maps)
    slack = allowed + 2 * HALF_ULP[case.dtype] * want.abs()  # Two results, each rounded.
    return float(((y - want).abs() / slack).max())


def differing(case: NmsCase, setting: Setting) -> float:
    """Count the boxes that one keeps with another score than the other."""
    boxes = draw_boxes(case, setting.device)
    ours = suppressor(device_library(setting), case)(boxes).cpu()
    return float((ours != suppressor(host_library(setting), case)(boxes.on("cpu"))).sum())

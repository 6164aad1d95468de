"""A detector's two operators: microseconds a launch, in a CUDA graph, over inputs that rotate.

Beside ours stand a copy of the result, and where torchvision is installed its `roi_align` of all
RoIs on the finest map and its `batched_nms`, which waits for the GPU and so is timed on the clock.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from gpu.compiled import missing_nvcc
from gpu.detection_cases import (
    LAYOUTS,
    AlignCase,
    Boxes,
    NmsCase,
    Rois,
    aligner,
    device_library,
    draw_boxes,
    draw_rois,
    suppressor,
)
from gpu.setting import Setting
from gpu.table import Cell, Row
from gpu.timing import medians

ROUNDS = 9
SETS = 4


def _named(case: AlignCase) -> str:
    dtype = str(case.dtype).removeprefix("torch.")
    return f"{case}, {dtype}, {'-'.join(case.layouts)}"


ALIGNS = {
    _named(case): case
    for case in (
        *(AlignCase(1, 1000, 7, layouts=layouts) for layouts in LAYOUTS),
        *(AlignCase(1, 100, 14, layouts=layouts) for layouts in LAYOUTS),
        AlignCase(8, 1000, 7),
        AlignCase(1, 1000, 7, dtype=torch.float32),
    )
}
SUPPRESSIONS = {
    str(case): case
    for case in (
        NmsCase(1, 4507, 5, 0.7),
        NmsCase(8, 4507, 5, 0.7),
        NmsCase(1, 1000, 80, 0.5),
        NmsCase(1, 5000, 1, 0.7),
    )
}
DRY = AlignCase(1, 4, 2, 8, picture=(64, 64))


def missing(setting: Setting) -> str:
    """Ask for nvcc."""
    return "" if setting.dry else missing_nvcc()


def cells(setting: Setting) -> Iterable[Cell]:
    """Give operator and case."""
    if setting.dry:
        yield "MultilevelRoIAlign", _named(DRY)
        return
    yield from (("MultilevelRoIAlign", case) for case in ALIGNS)
    yield from (("BatchedNMS", case) for case in SUPPRESSIONS)


def measure(cell: Cell, setting: Setting) -> Iterable[Row]:
    """Time the contenders."""
    operator, name = cell
    if operator == "BatchedNMS":
        times = of_nms(SUPPRESSIONS[name], setting)
    else:
        times = of_align({**ALIGNS, _named(DRY): DRY}[name], setting)
    for contender, microseconds in times.items():
        yield {"contender": contender, "microseconds": f"{microseconds:.2f}"}


def of_align(case: AlignCase, setting: Setting) -> dict[str, float]:
    """Time MultilevelRoIAlign and its rivals."""
    given = [draw_rois(case, setting.device) for _ in range(SETS)]
    ours = aligner(device_library(setting), case)
    y = ours(given[0])
    runs: dict[str, Callable[[Rois], object]] = {"ours": ours}
    runs["copy of the result"] = lambda _: y.clone()
    if _has_torchvision() and case.layouts[0] == "nchw":
        runs["torchvision, finest map"] = torchvision_align(case)
    return medians(runs, given, ROUNDS, setting)


def of_nms(case: NmsCase, setting: Setting) -> dict[str, float]:
    """Time BatchedNMS and its rival."""
    boxes = [draw_boxes(case, setting.device) for _ in range(SETS)]
    times = medians({"ours": suppressor(device_library(setting), case)}, boxes, ROUNDS, setting)
    if _has_torchvision() and case.batch == 1:
        taken = [torchvision_nms(case, boxes[i % SETS]) for i in range(ROUNDS)]
        times["torchvision"] = statistics.median(taken)
    return times


def _has_torchvision() -> bool:
    return importlib.util.find_spec("torchvision") is not None


def torchvision_align(case: AlignCase) -> Callable[[Rois], Tensor]:
    """Give torchvision's, of all RoIs on the finest map."""
    from torchvision.ops import roi_align

    return lambda given: roi_align(
        given.maps[0], [*given.rois.to(case.dtype)], case.bins, 0.25, 0, aligned=True
    )


def torchvision_nms(case: NmsCase, given: Boxes) -> float:
    """Give the microseconds of one call, which waits for its own result."""
    from torchvision.ops import batched_nms

    torch.cuda.synchronize()
    start = time.perf_counter()
    batched_nms(given.boxes[0], given.scores[0], given.groups[0], case.threshold)
    torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e6

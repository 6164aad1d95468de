"""A detector's kernels as g++ compiles them, and naive references that they are held against."""

from __future__ import annotations

import ctypes
import itertools
import math
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.detection_library import AlignParams, Level, NmsParams, load
from simam_deploy.op.detection import NOTHING, STRIDES
from simam_deploy.op.torch.parameters import LAYOUTS, TYPES
from tests.plugins.host_kernel import DTYPES, GUARD, PLUGIN, compile_host

DETECTION = PLUGIN / "detection"
FINEST = 56.0
F = np.float32
_numbers = itertools.count()


@dataclass(frozen=True)
class AlignCase:
    """What RoIs are read with. Layouts are "nchw" or "nhwc"; `padded` ones have a pitch of 8s."""

    dtype: str = "float32"
    layout: str = "nchw"
    result_layout: str = "nchw"
    padded: bool = False
    bins: int = 7
    ratio: int = 0


class Guarded:
    """An array on 16 bytes between guards: NaN around what is read, a pattern around a result."""

    def __init__(self, values: np.ndarray, fill: float) -> None:
        self.memory = np.full(values.size + 2 * GUARD + 16, fill, values.dtype)
        self.begin = next(
            i
            for i in range(GUARD, GUARD + 16)
            if (self.memory.ctypes.data + i * self.memory.itemsize) % 16 == 0
        )
        self.shape = values.shape
        self.memory[self.begin : self.begin + values.size] = values.ravel()

    @property
    def address(self) -> int:
        return int(self.memory.ctypes.data) + self.begin * self.memory.itemsize

    def read(self) -> np.ndarray:
        end = self.begin + math.prod(self.shape)
        guards = np.concatenate([self.memory[: self.begin], self.memory[end:]])
        assert (guards == guards[0]).all(), "something was written beside the result"
        return self.memory[self.begin : end].reshape(self.shape)


class HostDetection:
    """The library of both operators."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def align(self, case: AlignCase, rois: np.ndarray, maps: list[np.ndarray]) -> np.ndarray:
        """Run MultilevelRoIAlign; y (N*R, C, S, S) in float64."""
        n, r = rois.shape[:2]
        channels = maps[0].shape[1]
        pitch = -(-channels // 8) * 8 if case.padded else channels
        placed = [Guarded(_laid_out(x, case.layout, pitch), np.nan) for x in maps]
        boxes = Guarded(rois.astype(F), np.nan)
        shape = (n * r, channels, case.bins, case.bins)
        if case.result_layout == "nhwc":
            shape = (n * r, case.bins, case.bins, pitch)
        y = Guarded(np.full(shape, 7.0, DTYPES[case.dtype]), 7.0)
        levels = [Level(p.address, *x.shape[2:]) for p, x in zip(placed, maps, strict=True)]
        params = AlignParams(
            boxes.address, (Level * 4)(*levels), y.address, n, r, channels, pitch,
            LAYOUTS[case.layout], LAYOUTS[case.result_layout], case.bins, case.ratio, FINEST,
        )  # fmt: skip
        assert self.library.simam_align(params, TYPES[case.dtype], None) == 0
        values = y.read().astype(np.float64)
        if case.result_layout == "nhwc":
            assert (values[..., channels:] == 0).all(), "a padding lane is not zero"
            values = values[..., :channels].transpose(0, 3, 1, 2)
        return values

    def nms(
        self,
        boxes: np.ndarray,
        scores: np.ndarray,
        groups: np.ndarray,
        threshold: float = 0.5,
        group_count: int = 1,
    ) -> np.ndarray:
        """Run BatchedNMS; kept (B, M). The workspace is of the stated size, filled with 0xff."""
        batch, count = scores.shape
        size = self.library.simam_nms_workspace_size(batch, count)
        workspace = Guarded(np.full(size, 0xFF, np.uint8), 0xA5)
        given = [Guarded(a, fill) for a, fill in ((boxes, np.nan), (scores, np.nan), (groups, 0))]
        kept = Guarded(np.full(scores.shape, 7.0, F), 7.0)
        params = NmsParams(
            *(g.address for g in given), kept.address, batch, count, group_count, threshold,
            groups.dtype == np.int64,
        )  # fmt: skip
        assert self.library.simam_nms(params, workspace.address, None) == 0
        workspace.read()
        return kept.read().copy()


def _laid_out(x: np.ndarray, layout: str, pitch: int) -> np.ndarray:
    if layout == "nchw":
        return x
    n, c, h, w = x.shape
    pixels = np.full((n, h, w, pitch), np.nan, x.dtype)
    pixels[..., :c] = x.transpose(0, 2, 3, 1)
    return pixels


def build_detection(folder: Path, *options: str, source: Path = DETECTION) -> HostDetection:
    """Compile the library; a new file each time, since one loaded is not replaced."""
    library = compile_host(
        [source / "check.cpp", source.parent / "tests" / "detection_library.cpp"],
        folder / f"detection-{next(_numbers)}.so",
        *("-ffp-contract=off", "-fPIC", "-shared", *(options or ("-O2",))),
        kernel=source.parent / "kernel",
    )
    return HostDetection(load(library))


def build_mutant(folder: Path, old: str, new: str) -> HostDetection:
    """Compile the library with a fault planted in the file of detection/ that has `old`."""
    copy = folder / "simam"
    shutil.copytree(DETECTION.parent, copy)
    (file,) = [path for path in (copy / "detection").glob("*.h") if old in path.read_text()]
    file.write_text(file.read_text().replace(old, new))
    return build_detection(folder, "-O1", "-w", source=copy / "detection")


def fails(checks: Iterable[Callable[[], None]]) -> bool:
    """Tell whether one of the checks fails."""
    for check in checks:
        try:
            check()
        except AssertionError:
            return True
    return False


def level_of(roi: np.ndarray) -> int:
    """The level as the contract writes it, in exact enough arithmetic: none here is at a border."""
    width, height = (float(F(roi[2 + i] - roi[i])) for i in (0, 1))
    return min(max(math.floor(math.log2(math.sqrt(width * height) / FINEST + 1e-6)), 0), 3)


def samples_of(low: np.float32, high: np.float32, stride: int, bins: int, ratio: int, bin_: int):
    """Where along one axis a bin is sampled, one after the other, in float32."""
    start, end = (F(F(v) / F(stride)) - F(0.5) for v in (low, high))
    size = F(end - start) / F(bins)
    count = ratio or math.ceil(size)
    return [F(F(start + F(bin_) * size) + F(F(i + 0.5) * size) / F(count)) for i in range(count)]


def taps_of(at: np.float32, pixels: int) -> list[tuple[int, float]]:
    """The pixels that one sample reads along one axis, with their weights."""
    if not -1 <= at <= pixels:
        return []
    at = min(max(float(at), 0.0), pixels - 1.0)
    low = math.floor(at)
    return [(low, 1 - (at - low)), (min(low + 1, pixels - 1), at - low)]


def align_reference(case: AlignCase, rois: np.ndarray, maps: list[np.ndarray]) -> np.ndarray:
    """MultilevelRoIAlign by the four pixels of every sample; sums in float64."""
    n, r = rois.shape[:2]
    y = np.zeros((n * r, maps[0].shape[1], case.bins, case.bins))
    for index, roi in enumerate(rois.astype(F).reshape(-1, 4)):
        if roi[2] > roi[0] and roi[3] > roi[1]:
            level = level_of(roi)
            x = maps[level][index // r].astype(np.float64)
            down, across = (
                [_read(case, roi[i], roi[i + 2], STRIDES[level], b, size) for b in range(case.bins)]
                for i, size in ((1, x.shape[1]), (0, x.shape[2]))
            )
            for row, column in np.ndindex(case.bins, case.bins):
                (rows, a), (columns, b) = down[row], across[column]
                y[index, :, row, column] = np.einsum("i,j,cij", a, b, x[:, rows][:, :, columns])
    return y


def _read(
    case: AlignCase, low: np.float32, high: np.float32, stride: int, bin_: int, pixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give the two pixels of each of a bin's samples along one axis, and their weights."""
    samples = samples_of(low, high, stride, case.bins, case.ratio, bin_)
    taps = [tap for at in samples for tap in taps_of(at, pixels)]
    places, weights = np.array([*taps, (0, 0.0)]).T
    return places.astype(int), weights / max(len(samples), 1)


def overlap(a: np.ndarray, b: np.ndarray) -> np.float32:
    """Intersection over union, in float32; 0 where there is no area in common."""
    width = F(min(a[2], b[2]) - max(a[0], b[0]))
    height = F(min(a[3], b[3]) - max(a[1], b[1]))
    if not (width > 0 and height > 0):
        return F(0)
    common = width * height
    areas = [F(box[2] - box[0]) * F(box[3] - box[1]) for box in (a, b)]
    return common / (areas[0] + areas[1] - common)


def nms_reference(
    boxes: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    threshold: float = 0.5,
) -> np.ndarray:
    """BatchedNMS box by box."""
    kept = np.full(scores.shape, NOTHING, F)
    for entry in range(len(scores)):
        chosen: list[int] = []
        for i in sorted(range(scores.shape[1]), key=lambda i: (-scores[entry, i], i)):
            rivals = [j for j in chosen if groups[entry, j] == groups[entry, i]]
            free = all(overlap(boxes[entry, i], boxes[entry, j]) <= F(threshold) for j in rivals)
            if scores[entry, i] > NOTHING and free:
                chosen.append(i)
                kept[entry, i] = scores[entry, i]
    return kept

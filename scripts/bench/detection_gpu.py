"""A detector's two operators on a GPU: built, checked against the host and measured.

    check      the kernels on the GPU against the same bodies compiled by g++, which tests/plugins
               hold against naive references: BatchedNMS to the bit, MultilevelRoIAlign within the
               rounding of its sums.
    speed      microseconds a launch, captured in a CUDA graph, over inputs that rotate; contenders
               take turns in every round. Beside ours a copy of the result, and where torchvision
               is installed its `roi_align` of all RoIs on the finest map and its `batched_nms`,
               which waits for the GPU and so is timed on the clock.

It is the step `detection` of kernel_gpu.py; what was expected stands in predictions.md.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from detection_library import AlignParams, Level, NmsParams, load
from gpu_timing import Row, capture, require_nvcc, turn, write
from torch import Tensor

SIMAM = Path(__file__).parent.parent.parent / "plugins" / "simam"
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
LAYOUTS = (("nchw", "nchw"), ("nhwc", "nhwc"), ("nhwc", "nchw"))
HALF_ULP = {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
PICTURE = (800, 1344)
ACCURACY_COLUMNS = ("date", "gpu", "operator", "case", "error", "tolerance")
SPEED_COLUMNS = (
    "date", "gpu", "torch", "operator", "case", "dtype", "layout", "contender", "microseconds",
)  # fmt: skip


@dataclass(frozen=True)
class AlignCase:
    """RoIs of drawn pictures, read from maps of so many channels."""

    images: int
    rois: int
    bins: int
    channels: int = 256
    dtype: torch.dtype = torch.float16
    layouts: tuple[str, str] = ("nhwc", "nchw")
    picture: tuple[int, int] = PICTURE

    def __str__(self) -> str:
        return f"{self.images}x{self.rois} RoIs, {self.channels}x{self.bins}x{self.bins}"


@dataclass(frozen=True)
class NmsCase:
    """Drawn boxes in groups."""

    batch: int
    boxes: int
    groups: int
    threshold: float

    def __str__(self) -> str:
        return f"{self.batch}x{self.boxes} boxes in {self.groups} groups at {self.threshold}"


SPEED_ALIGNS = (
    *(AlignCase(1, 1000, 7, layouts=layouts) for layouts in LAYOUTS),
    *(AlignCase(1, 100, 14, layouts=layouts) for layouts in LAYOUTS),
    AlignCase(8, 1000, 7),
    AlignCase(1, 1000, 7, dtype=torch.float32),
)
SPEED_NMS = (
    NmsCase(1, 4507, 5, 0.7),
    NmsCase(8, 4507, 5, 0.7),
    NmsCase(1, 1000, 80, 0.5),
    NmsCase(1, 5000, 1, 0.7),
)
CHECKED_NMS = (*SPEED_NMS, NmsCase(3, 700, 2, 0.5), NmsCase(1, 64, 300, 0.3))


def build(folder: Path) -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """Compile the kernels for the current GPU and for the host."""
    major, minor = torch.cuda.get_device_capability()
    detection = SIMAM / "detection"
    sources = sorted([*detection.glob("*.cu"), *detection.glob("*.cpp")])
    shared = ["-std=c++17", "-O3", "-shared"]
    device = [require_nvcc(), *shared, f"-arch=sm_{major}{minor}", "-Xcompiler", "-fPIC", *sources]
    subprocess.run([*device, "-o", folder / "device.so"], check=True)
    include = [f"-I{SIMAM / 'kernel'}", f"-I{SIMAM / 'tests'}"]
    bodies = [detection / "check.cpp", SIMAM / "tests" / "detection_library.cpp"]
    host = ["g++", *shared, "-w", "-fPIC", "-ffp-contract=off", *include, *bodies]
    subprocess.run([*host, "-o", folder / "host.so"], check=True)
    return load(folder / "device.so"), load(folder / "host.so")


@dataclass
class Rois:
    """rois (N, R, 4) in pixels, and the four maps in the case's layout."""

    rois: Tensor
    maps: list[Tensor]

    def on(self, device: str) -> Rois:
        """Give the same on another device."""
        return Rois(self.rois.to(device), [x.to(device) for x in self.maps])


@dataclass
class Boxes:
    """boxes (B, M, 4), scores (B, M) and groups (B, M)."""

    boxes: Tensor
    scores: Tensor
    groups: Tensor

    def on(self, device: str) -> Boxes:
        """Give the same on another device."""
        return Boxes(self.boxes.to(device), self.scores.to(device), self.groups.to(device))


def drawn_boxes(batch: int, count: int, picture: tuple[int, int]) -> Tensor:
    """Sides from 8 to 600 pixels, evenly in their logarithm, clipped to the picture."""
    height, width = picture
    limits = torch.tensor([width, height, width, height], device="cuda", dtype=torch.float32)
    corners = torch.rand(batch, count, 2, device="cuda") * limits[:2]
    sides = 8 * 75 ** torch.rand(batch, count, 2, device="cuda")
    return torch.minimum(torch.cat([corners - sides / 2, corners + sides / 2], 2).relu(), limits)


def draw_rois(case: AlignCase) -> Rois:
    maps = []
    for stride in (4, 8, 16, 32):
        h, w = (side // stride for side in case.picture)
        shape = (case.channels, h, w) if case.layouts[0] == "nchw" else (h, w, case.channels)
        maps.append(torch.randn(case.images, *shape, dtype=case.dtype, device="cuda"))
    return Rois(drawn_boxes(case.images, case.rois, case.picture), maps)


def draw_boxes(case: NmsCase) -> Boxes:
    shape = (case.batch, case.boxes)
    scores = torch.randint(0, 5 * case.boxes, shape, device="cuda").float()  # Some are equal.
    groups = torch.randint(0, case.groups, shape, device="cuda")
    return Boxes(drawn_boxes(*shape, PICTURE), scores, groups)


def stream() -> ctypes.c_void_p:
    return ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)


def aligner(library: ctypes.CDLL, case: AlignCase) -> Callable[[Rois], Tensor]:
    """Give what runs MultilevelRoIAlign where its tensors lie."""
    codes = {name: code for code, name in enumerate(("nchw", "nhwc"))}

    def run(given: Rois) -> Tensor:
        count, bins, channels = case.images * case.rois, case.bins, case.channels
        planes = case.layouts[1] == "nchw"
        shape = (channels, bins, bins) if planes else (bins, bins, channels)
        y = torch.empty(count, *shape, dtype=case.dtype, device=given.rois.device)
        size = slice(2, 4) if case.layouts[0] == "nchw" else slice(1, 3)
        levels = (Level * 4)(*(Level(x.data_ptr(), *x.shape[size]) for x in given.maps))
        params = AlignParams(
            given.rois.data_ptr(), levels, y.data_ptr(), case.images, case.rois, channels,
            channels, codes[case.layouts[0]], codes[case.layouts[1]], bins, 0, 56.0,
        )  # fmt: skip
        require(library.simam_align(params, DTYPES.index(case.dtype), stream()))
        return y

    return run


def suppressor(library: ctypes.CDLL, case: NmsCase) -> Callable[[Boxes], Tensor]:
    """Give what runs BatchedNMS where its tensors lie."""

    def run(given: Boxes) -> Tensor:
        kept = torch.empty_like(given.scores)
        size = library.simam_nms_workspace_size(*given.scores.shape)
        workspace = torch.empty(size, dtype=torch.uint8, device=kept.device)
        params = NmsParams(
            given.boxes.data_ptr(), given.scores.data_ptr(), given.groups.data_ptr(),
            kept.data_ptr(), *given.scores.shape, case.groups, case.threshold, True,
        )  # fmt: skip
        require(library.simam_nms(params, workspace.data_ptr(), stream()))
        return kept

    return run


def require(status: int) -> None:
    if status:
        raise RuntimeError(f"the kernel's launch failed with cudaError {status}")


def accuracy_rows(device: ctypes.CDLL, host: ctypes.CDLL) -> Iterator[Row]:
    for dtype, layouts, bins in itertools.product(DTYPES, LAYOUTS, (2, 7, 14)):
        case = AlignCase(2, 20, bins, 48, dtype, layouts, (256, 320))
        given = draw_rois(case)
        y = aligner(device, case)(given).cpu().double()
        want = aligner(host, case)(given.on("cpu")).double()
        allowed = 1e-6 * max(float(x.abs().max()) for x in given.maps)
        slack = allowed + 2 * HALF_ULP[dtype] * want.abs()  # Two results, each rounded.
        error = float(((y - want).abs() / slack).nan_to_num(float("inf")).max())
        name = f"{case}, {dtype}, {'-'.join(layouts)}".replace("torch.", "")
        yield accuracy_row("MultilevelRoIAlign", name, error, 1)
    for nms in CHECKED_NMS:
        boxes = draw_boxes(nms)
        differ = suppressor(device, nms)(boxes).cpu() != suppressor(host, nms)(boxes.on("cpu"))
        yield accuracy_row("BatchedNMS", str(nms), float(differ.sum()), 0)


def accuracy_row(operator: str, case: str, error: float, tolerance: float) -> Row:
    figures = {"error": f"{error:.2e}", "tolerance": f"{tolerance:.1e}"}
    return {"operator": operator, "case": case, **figures}


def speed_rows(device: ctypes.CDLL, rounds: int) -> Iterator[Row]:
    for case in SPEED_ALIGNS:
        given = [draw_rois(case) for _ in range(4)]
        runs: dict[str, Callable[[Rois], object]] = {"ours": aligner(device, case)}
        y = aligner(device, case)(given[0])
        runs["copy of the result"] = lambda _, y=y: y.clone()
        if importlib.util.find_spec("torchvision") and case.layouts[0] == "nchw":
            runs["torchvision, finest map"] = torchvision_align(case)
        graphs = {name: capture(run, given) for name, run in runs.items()}
        times: dict[str, list[float]] = {name: [] for name in graphs}
        for name in [*graphs] * rounds:
            times[name].append(turn(graphs[name], len(given)))
        layout = "-".join(case.layouts)
        dtype = str(case.dtype).removeprefix("torch.")
        yield from medians("MultilevelRoIAlign", str(case), dtype, layout, times)
    for nms in SPEED_NMS:
        boxes = [draw_boxes(nms) for _ in range(4)]
        graph = capture(suppressor(device, nms), boxes)
        taken = {"ours": [turn(graph, 4) for _ in range(rounds)]}
        if importlib.util.find_spec("torchvision") and nms.batch == 1:
            taken["torchvision"] = [torchvision_nms(nms, boxes[i % 4]) for i in range(rounds)]
        yield from medians("BatchedNMS", str(nms), "float32", "", taken)


def medians(
    operator: str, case: str, dtype: str, layout: str, times: dict[str, list[float]]
) -> Iterator[Row]:
    for contender, taken in times.items():
        yield {
            "torch": torch.__version__,
            "operator": operator,
            "case": case,
            "dtype": dtype,
            "layout": layout,
            "contender": contender,
            "microseconds": f"{statistics.median(taken):.2f}",
        }


def torchvision_align(case: AlignCase) -> Callable[[Rois], Tensor]:
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


def run(folder: Path, rounds: int, out: Path) -> bool:
    """Build, check and measure; tell whether all that was looked at is right."""
    device, host = build(folder)
    checked = write(out / "detection_accuracy.csv", ACCURACY_COLUMNS, accuracy_rows(device, host))
    write(out / "detection_speed.csv", SPEED_COLUMNS, speed_rows(device, rounds))
    return all(float(row["error"]) <= float(row["tolerance"]) for row in checked)

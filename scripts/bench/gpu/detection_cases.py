"""A detector's two operators: cases, their inputs, and what runs them."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import torch
from detection_library import AlignParams, Level, NmsParams, load
from torch import Tensor

from gpu.compiled import DETECTION, KERNEL, SIMAM, detection_library
from gpu.facts import code
from gpu.setting import Setting

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
LAYOUTS = (("nchw", "nchw"), ("nhwc", "nhwc"), ("nhwc", "nchw"))
PICTURE = (800, 1344)


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


def device_library(setting: Setting) -> ctypes.CDLL:
    """Load the kernels for the GPU; dry, those for the host."""
    return host_library(setting) if setting.dry else load(detection_library(setting))


def host_library(setting: Setting) -> ctypes.CDLL:
    """Compile the same bodies by g++, which tests/plugins hold against naive references.

    Raises:
        RuntimeError: g++ refuses; its words are in the message.
    """
    target = setting.work / "compiled" / f"host-{code()}" / "libsimam_detection.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        how = ["-std=c++17", "-O0" if setting.dry else "-O3", "-shared", "-w", "-fPIC"]
        bodies = [DETECTION / "check.cpp", SIMAM / "tests" / "detection_library.cpp"]
        include = ["-ffp-contract=off", f"-I{KERNEL}", f"-I{SIMAM / 'tests'}"]
        part = target.with_suffix(".part")
        words = ["g++", *how, *include, *map(str, bodies), "-o", str(part)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"g++: {done.stderr.strip()}")
        part.replace(target)
    return load(target)


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


def drawn_boxes(batch: int, count: int, picture: tuple[int, int], device: str) -> Tensor:
    """Sides from 8 to 600 pixels, evenly in their logarithm, clipped to the picture."""
    height, width = picture
    limits = torch.tensor([width, height, width, height], device=device, dtype=torch.float32)
    corners = torch.rand(batch, count, 2, device=device) * limits[:2]
    sides = 8 * 75 ** torch.rand(batch, count, 2, device=device)
    return torch.minimum(torch.cat([corners - sides / 2, corners + sides / 2], 2).relu(), limits)


def draw_rois(case: AlignCase, device: str) -> Rois:
    """Draw RoIs and the maps of a pyramid."""
    maps = []
    for stride in (4, 8, 16, 32):
        h, w = (side // stride for side in case.picture)
        shape = (case.channels, h, w) if case.layouts[0] == "nchw" else (h, w, case.channels)
        maps.append(torch.randn(case.images, *shape, dtype=case.dtype, device=device))
    return Rois(drawn_boxes(case.images, case.rois, case.picture, device), maps)


def draw_boxes(case: NmsCase, device: str) -> Boxes:
    """Draw boxes, of which some score alike."""
    shape = (case.batch, case.boxes)
    scores = torch.randint(0, 5 * case.boxes, shape, device=device).float()  # Some are equal.
    groups = torch.randint(0, case.groups, shape, device=device)
    return Boxes(drawn_boxes(*shape, PICTURE, device), scores, groups)


def stream(device: torch.device) -> ctypes.c_void_p:
    """Give PyTorch's stream of a device; the host has none."""
    on_gpu = device.type == "cuda"
    return ctypes.c_void_p(torch.cuda.current_stream(device).cuda_stream if on_gpu else None)


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
        require(library.simam_align(params, DTYPES.index(case.dtype), stream(y.device)))
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
        require(library.simam_nms(params, workspace.data_ptr(), stream(kept.device)))
        return kept

    return run


def require(status: int) -> None:
    """Refuse a launch that CUDA refused.

    Raises:
        RuntimeError: It did.
    """
    if status:
        raise RuntimeError(f"the kernel's launch failed with cudaError {status}")

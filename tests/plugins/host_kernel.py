"""The kernel's bodies as g++ compiles them, on an engine that stands for a GPU: for tests."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from simam_deploy.op.contract import ACTIVATIONS, epilogue_reference, simam_reference
from simam_deploy.op.torch.parameters import LAYOUTS, TYPES, Params, Tensors, params_of

PLUGIN = Path(__file__).parent.parent.parent / "plugins" / "simam"
KERNEL = PLUGIN / "kernel"
HOST = PLUGIN / "tests"
DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
ELEMENTS = {"float32": "Float", "float16": "Half", "bfloat16": "BFloat16"}
METHODS = (
    "nothing",
    "group",
    "warp",
    "block",
    "split plane",
    "small tile",
    "tile",
    "narrow tile",
    "split tile",
    "scalar tile",
    "split scalar tile",
)
GUARD = 64
"""Elements before and after each tensor: NaN around what is read, a pattern around y."""


class Choice(ctypes.Structure):
    """`simam::Choice`."""

    _fields_ = (
        ("method", ctypes.c_int32),
        ("blocks", ctypes.c_int64),
        ("threads", ctypes.c_int32),
        ("cluster", ctypes.c_int32),
        ("slices", ctypes.c_int32),
    )


@dataclass(frozen=True)
class Device:
    """What the choice rests on: an H200, or one of eight multiprocessors without clusters."""

    multiprocessors: int = 132
    clusters: bool = True


@dataclass(frozen=True)
class Case:
    """One launch: shape (N, C, H, W), layout, and what is asked for."""

    shape: tuple[int, int, int, int]
    dtype: str = "float32"
    layout: str = "nchw"
    padded: bool = False
    epilogue: str = "none"
    device: Device = Device()
    e_lambda: float = 1e-4

    @property
    def hw(self) -> int:
        return self.shape[2] * self.shape[3]

    @property
    def pitch(self) -> int:
        channels = self.shape[1]
        return -(-channels // 8) * 8 if self.padded else channels

    @property
    def clip(self) -> tuple[float, float]:
        return ACTIVATIONS["none"] if self.epilogue == "none" else (-0.5, 1.5)


@dataclass
class Inputs:
    """x and residual of the case's shape and dtype; scale and bias (C,), float32."""

    x: np.ndarray
    residual: np.ndarray
    scale: np.ndarray
    bias: np.ndarray


def draw(case: Case, mean: float = 0.0, std: float = 1.0) -> Inputs:
    rng = np.random.default_rng(0)
    dtype = DTYPES[case.dtype]
    channels = case.shape[1]
    return Inputs(
        x=(rng.standard_normal(case.shape) * std + mean).astype(dtype),
        residual=rng.standard_normal(case.shape).astype(dtype),
        scale=rng.uniform(0.5, 2.0, channels).astype(np.float32),
        bias=rng.standard_normal(channels).astype(np.float32),
    )


def reference(case: Case, inputs: Inputs) -> np.ndarray:
    if case.epilogue == "none":
        return simam_reference(inputs.x, case.e_lambda)
    residual = inputs.residual if case.epilogue == "residual" else None
    low, high = case.clip
    return epilogue_reference(
        inputs.x,
        inputs.scale,
        inputs.bias,
        residual,
        e_lambda=case.e_lambda,
        clip_min=low,
        clip_max=high,
    )


class Placed:
    """A tensor in the case's layout, on 16 bytes, between guards."""

    def __init__(self, case: Case, values: np.ndarray, fill: float) -> None:
        self.case = case
        if case.layout == "nhwc":
            n, c, h, w = case.shape
            padded = np.full((n, h, w, case.pitch), np.nan, values.dtype)
            padded[..., :c] = values.transpose(0, 2, 3, 1)
            values = padded
        self.memory = np.full(values.size + 2 * GUARD + 16, fill, values.dtype)
        self.begin = next(
            i
            for i in range(GUARD, GUARD + 16)
            if (self.memory.ctypes.data + i * self.memory.itemsize) % 16 == 0
        )
        self.end = self.begin + values.size
        self.memory[self.begin : self.end] = values.ravel()
        self.shape = values.shape

    @property
    def address(self) -> int:
        return int(self.memory.ctypes.data) + self.begin * self.memory.itemsize

    def read(self) -> np.ndarray:
        """As float64 in NCHW; padding lanes must be zero and the guards as they were."""
        guards = np.concatenate([self.memory[: self.begin], self.memory[self.end :]])
        assert (guards == guards[0]).all(), "something was written beside the tensor"
        values = self.memory[self.begin : self.end].astype(np.float64).reshape(self.shape)
        if self.case.layout == "nhwc":
            channels = self.case.shape[1]
            assert (values[..., channels:] == 0).all(), "a padding lane is not zero"
            values = values[..., :channels].transpose(0, 3, 1, 2)
        return values


@dataclass
class HostKernel:
    """The library of one element type."""

    library: ctypes.CDLL
    dtype: str
    methods: set[str] = field(default_factory=set)

    def params(self, case: Case, tensors: Tensors) -> Params:
        n, c = case.shape[:2]
        return params_of(tensors, (n, c, case.hw), case.e_lambda, case.clip, case.pitch)

    def choose(self, case: Case) -> Choice:
        choice = Choice()
        self.library.simam_host_choose(
            ctypes.byref(self.params(case, Tensors(None, None))),
            TYPES[case.dtype],
            LAYOUTS[case.layout],
            case.device.multiprocessors,
            int(case.device.clusters),
            ctypes.byref(choice),
        )
        return choice

    def partials(self, case: Case) -> int:
        params = self.params(case, Tensors(None, None))
        return int(
            self.library.simam_host_partials(
                ctypes.byref(params), TYPES[case.dtype], LAYOUTS[case.layout]
            )
        )

    def is_valid(self, params: Params, layout: str = "nchw", workspace: int | None = None) -> bool:
        return bool(
            self.library.simam_host_is_valid(
                ctypes.byref(params),
                TYPES[self.dtype],
                LAYOUTS[layout],
                ctypes.c_void_p(workspace),
            )
        )

    def launch(self, case: Case, params: Params) -> None:
        choice = self.choose(case)
        self.methods.add(METHODS[choice.method])
        workspace = np.full(2 * self.partials(case) + 2, np.nan, np.float32)
        status = self.library.simam_host_run(
            ctypes.byref(params), ctypes.byref(choice), ctypes.c_void_p(workspace.ctypes.data)
        )
        assert status == 0
        assert np.isnan(workspace[-2:]).all(), "more partials than were counted"

    def run(self, case: Case, inputs: Inputs) -> np.ndarray:
        """z in float64, (N, C, H, W)."""
        x = Placed(case, inputs.x, np.nan)
        residual = Placed(case, inputs.residual, np.nan)
        y = Placed(case, np.full(case.shape, 7.0, inputs.x.dtype), 7.0)
        plain = case.epilogue == "none"
        tensors = Tensors(
            x=x.address,
            y=y.address,
            residual=residual.address if case.epilogue == "residual" else None,
            scale=None if plain else inputs.scale.ctypes.data,
            bias=None if plain else inputs.bias.ctypes.data,
        )
        self.launch(case, self.params(case, tensors))
        return y.read()

    @contextmanager
    def worst_approximations(self, sign: float) -> Iterator[None]:
        """Make ex2 and rcp wrong by the 2 and 1 ulp that CUDA allows its approximations."""
        self.library.simam_host_set_error(ctypes.c_float(sign))
        try:
            yield
        finally:
            self.library.simam_host_set_error(ctypes.c_float(0.0))

    @contextmanager
    def only_clusters(self, first: int, last: int) -> Iterator[None]:
        """Run no blocks but those of clusters [first, last)."""
        self.library.simam_host_set_range(first, last)
        try:
            yield
        finally:
            self.library.simam_host_set_range(0, 2**63 - 1)


def compiler() -> str:
    path = shutil.which("g++")
    if path is None:
        pytest.skip("no g++: the kernel's host proof cannot be compiled")
    return path


def compile_host(sources: list[Path], output: Path, *options: str, kernel: Path = KERNEL) -> Path:
    command = [
        compiler(),
        *("-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"),
        *(f"-I{kernel}", f"-I{HOST}"),
        *options,
        *map(str, sources),
        *("-o", str(output)),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


_numbers = itertools.count()


def build_host(folder: Path, dtype: str, *options: str, kernel: Path = KERNEL) -> HostKernel:
    """Compile the kernels of `dtype`; a new file each time, since one loaded is not replaced."""
    library = compile_host(
        [kernel / "choose.cpp", kernel / "check.cpp", HOST / "host_library.cpp"],
        folder / f"{dtype}-{next(_numbers)}.so",
        *(*options, "-fPIC", "-shared", f"-DSIMAM_ELEMENT={ELEMENTS[dtype]}"),
        kernel=kernel,
    )
    loaded = ctypes.CDLL(str(library))
    loaded.simam_host_partials.restype = ctypes.c_int64
    loaded.simam_host_set_range.argtypes = [ctypes.c_int64, ctypes.c_int64]
    return HostKernel(loaded, dtype)

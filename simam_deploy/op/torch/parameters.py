"""The kernel's C structures, as plugins/simam/kernel/params.h declares them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from simam_deploy.op.contract import ACTIVATIONS

ABI_VERSION = 1
"""Of the library's entry points and of Params: `simam_abi_version` must say the same."""

TYPES = {"float32": 0, "float16": 1, "bfloat16": 2}
LAYOUTS = {"nchw": 0, "nhwc": 1}


class Params(ctypes.Structure):
    """`simam::Params`: addresses, sizes and numbers of one launch."""

    _fields_ = (
        ("x", ctypes.c_void_p),
        ("y", ctypes.c_void_p),
        ("residual", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("n", ctypes.c_int64),
        ("c", ctypes.c_int64),
        ("hw", ctypes.c_int64),
        ("pitch", ctypes.c_int64),
        ("e_lambda", ctypes.c_float),
        ("clip_min", ctypes.c_float),
        ("clip_max", ctypes.c_float),
    )


@dataclass(frozen=True)
class Tensors:
    """Addresses of one launch's tensors; None where there is none."""

    x: int | None
    y: int | None
    residual: int | None = None
    scale: int | None = None
    bias: int | None = None


def params_of(
    tensors: Tensors,
    shape: tuple[int, int, int],
    e_lambda: float,
    clip: tuple[float, float] = ACTIVATIONS["none"],
    pitch: int | None = None,
) -> Params:
    """Fill `Params` for a tensor of `shape` (N, C, H*W), channels `pitch` apart if NHWC."""
    n, c, hw = shape
    return Params(
        x=tensors.x,
        y=tensors.y,
        residual=tensors.residual,
        scale=tensors.scale,
        bias=tensors.bias,
        n=n,
        c=c,
        hw=hw,
        pitch=c if pitch is None else pitch,
        e_lambda=e_lambda,
        clip_min=clip[0],
        clip_max=clip[1],
    )

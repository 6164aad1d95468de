"""One SimAM site: its inputs, ours, what PyTorch users write, and the truth in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from gpu.setting import Setting
from simam_deploy.op.torch import formula, simam, simam_epilogue

TOLERANCES = {"float32": 2e-6, "float16": 6e-4, "bfloat16": 4.2e-3}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
EPILOGUES = ("none", "affine", "residual")
_RELU = (0.0, float("inf"))


@dataclass
class Given:
    """One site's inputs: x and the residual in the layout, scale and bias (C,)."""

    x: Tensor
    residual: Tensor
    scale: Tensor
    bias: Tensor


def shape_of(text: str) -> tuple[int, ...]:
    """Read 8x64x56x56."""
    return tuple(map(int, text.split("x")))


def place(x: Tensor, layout: str) -> Tensor:
    """Lay a map out."""
    return x.contiguous(memory_format=LAYOUTS[layout])


def draw(shape: tuple[int, ...], dtype: str, layout: str, setting: Setting) -> Given:
    """Draw a site's inputs."""
    where = {"dtype": getattr(torch, dtype), "device": setting.device}
    x, residual = (place(torch.randn(shape, **where), layout) for _ in range(2))
    scale = torch.rand(shape[1], device=setting.device) + 0.5
    return Given(x, residual, scale, torch.randn(shape[1], device=setting.device))


def ours(epilogue: str) -> Callable[[Given], Tensor]:
    """Give our operator."""
    if epilogue == "none":
        return lambda given: simam(given.x)
    if epilogue == "affine":
        return lambda given: simam_epilogue(given.x, given.scale, given.bias, activation="relu")
    return lambda given: simam_epilogue(
        given.x, given.scale, given.bias, given.residual, activation="relu"
    )


def plain(epilogue: str) -> Callable[[Given], Tensor]:
    """Give what PyTorch users write, in x's own precision."""

    def run(given: Given) -> Tensor:
        x = given.x
        d2 = (x - x.mean(dim=(2, 3), keepdim=True)).square()
        v = d2.sum(dim=(2, 3), keepdim=True) / (x.shape[2] * x.shape[3] - 1)
        y = x * torch.sigmoid(d2 / (4 * (v + 1e-4)) + 0.5)
        if epilogue == "none":
            return y
        scale, bias = (p.to(x.dtype).reshape(1, -1, 1, 1) for p in (given.scale, given.bias))
        z = y * scale + bias
        return functional.relu(z + given.residual if epilogue == "residual" else z)

    return run


def instance_norm(epilogue: str) -> Callable[[Given], Tensor]:
    """Give the nearest thing of the same traffic in cuDNN: one read, one write, no gate."""

    def run(given: Given) -> Tensor:
        if epilogue == "none":
            return functional.instance_norm(given.x)
        weights = [p.to(given.x.dtype) for p in (given.scale, given.bias)]
        y = functional.instance_norm(given.x, weight=weights[0], bias=weights[1])
        return functional.relu(y + given.residual if epilogue == "residual" else y)

    return run


def exact(given: Given, epilogue: str) -> tuple[Tensor, Tensor]:
    """Return the result in float64, and by how much float32's rounding may move its summands."""
    y = formula.attend(given.x.double(), 1e-4)
    if epilogue == "none":
        return y, torch.zeros_like(y)
    residual = given.residual.double() if epilogue == "residual" else None
    scale, bias = given.scale.double(), given.bias.double()
    z = formula.finish(y, scale, bias, residual, _RELU)
    sizes = None if residual is None else residual.abs()
    return z, 2e-6 * formula.finish(y.abs(), scale, bias.abs(), sizes, _RELU)

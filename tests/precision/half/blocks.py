"""What the networks of the conversion tests are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """SimAM as its authors wrote it; not our class, so that it is met in plain ops."""

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[2] * x.shape[3] - 1
        d = (x - x.mean(dim=[2, 3], keepdim=True)).pow(2)
        return x * torch.sigmoid(d / (4 * (d.sum(dim=[2, 3], keepdim=True) / n + 1e-4)) + 0.5)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., object], **parts: nn.Module | Tensor) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, x: Tensor) -> object:
        return self.function(self, x)


def conv(i: int, o: int, stride: int = 1, act: nn.Module | None = None, **more: int) -> nn.Module:
    """Conv, SimAM, BN and activation."""
    return nn.Sequential(
        nn.Conv2d(i, o, 3, stride, more.pop("padding", 1), **more),
        Gate(),
        nn.BatchNorm2d(o),
        act or nn.SiLU(),
    )


def head(body: nn.Module, width: int = 16, classes: int = 10) -> nn.Module:
    """Average and classify."""
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

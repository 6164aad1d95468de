"""SimAM, its epilogue and its gradient in torch's own operations: where the kernel is not."""

from __future__ import annotations

import torch
from torch import Tensor

PLANE = (2, 3)


def widened(x: Tensor) -> Tensor:
    """Return `x` in the type that is computed in: float32, or float64 if `x` is that."""
    return x if x.dtype == torch.float64 else x.float()


def gate_of(x: Tensor, e_lambda: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return d, v + lambda and the gate of `x`, (N, C, H, W); see `simam_deploy.op.contract`."""
    d = x - x.mean(dim=PLANE, keepdim=True)
    count = x.shape[2] * x.shape[3] - 1
    spread = d.square().sum(dim=PLANE, keepdim=True) / count + e_lambda
    return d, spread, torch.sigmoid(d.square() / (4 * spread) + 0.5)


def attend(x: Tensor, e_lambda: float) -> Tensor:
    """Return SimAM of `x`, in the type that is computed in."""
    wide = widened(x)
    return wide * gate_of(wide, e_lambda)[2]


def finish(
    y: Tensor, scale: Tensor, bias: Tensor, residual: Tensor | None, clip: tuple[float, float]
) -> Tensor:
    """Return y * scale + bias + residual, clipped; scale and bias are (C,)."""
    z = y * scale.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)
    if residual is not None:
        z = z + residual
    return z.clamp(*clip)


def gradient(x: Tensor, grad: Tensor, e_lambda: float) -> Tensor:
    """Return the gradient with respect to `x` of what has gradient `grad` to SimAM of `x`.

    With w = grad * x * gate * (1 - gate), s = v + lambda and m = H*W - 1, by the chain rule over
    d and v:

        grad * gate + (w * d - mean(w * d)) / (2 * s) - d * sum(w * d^2) / (2 * m * s^2)
    """
    wide, out = widened(x), widened(grad)
    d, spread, gate = gate_of(wide, e_lambda)
    wd = out * wide * gate * (1 - gate) * d
    count = x.shape[2] * x.shape[3] - 1
    by_distance = (wd - wd.mean(dim=PLANE, keepdim=True)) / (2 * spread)
    by_variance = d * (wd * d).sum(dim=PLANE, keepdim=True) / (2 * count * spread.square())
    return (out * gate + by_distance - by_variance).to(x.dtype)

"""The operators `simam::simam` and `simam::simam_epilogue`, for torch.compile and eager alike."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from simam_deploy.op.contract import ACTIVATIONS, DEFAULT_LAMBDA
from simam_deploy.op.torch import formula
from simam_deploy.op.torch.launch import run_kernel, runs_on_kernel


def simam(x: Tensor, e_lambda: float = DEFAULT_LAMBDA) -> Tensor:
    """Compute SimAM (`simam_deploy.op.contract`), by the fused kernel where it is compiled.

    Args:
        x: Feature map, (N, C, H, W) with H*W >= 2. On a CUDA device float32, float16 and bfloat16
            go to the kernel; everything else is computed by torch's own operations.
        e_lambda: The regulariser lambda, finite and not negative.

    Returns:
        The result, of x's shape and dtype, channels-last if x is.

    Raises:
        ValueError: The shape or lambda is not of that kind.
        InputError: A kernel library is named but cannot be used (`ops.library`).
    """
    _check(x, e_lambda)
    result: Tensor = torch.ops.simam.simam(x, e_lambda)
    return result


def simam_epilogue(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    residual: Tensor | None = None,
    *,
    e_lambda: float = DEFAULT_LAMBDA,
    activation: str = "none",
) -> Tensor:
    """Compute activation(SimAM(x) * scale + bias + residual) in one pass; inference only.

    Args:
        x: Feature map, (N, C, H, W) with H*W >= 2.
        scale: Factor by channel, (C,), float32.
        bias: Summand by channel, (C,), float32.
        residual: Of x's shape and dtype; None adds nothing.
        e_lambda: The regulariser lambda, finite and not negative.
        activation: none, relu or relu6.

    Returns:
        The result, of x's shape and dtype, channels-last if x is.

    Raises:
        ValueError: A shape, dtype, lambda or activation is not of that kind.
        InputError: A kernel library is named but cannot be used (`ops.library`).
    """
    _check(x, e_lambda)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation}")
    for name, vector in (("scale", scale), ("bias", bias)):
        if vector.shape != (x.shape[1],) or vector.dtype != torch.float32:
            raise ValueError(
                f"{name} must be float32 of shape ({x.shape[1]},), "
                f"got {vector.dtype} {tuple(vector.shape)}"
            )
    if residual is not None and (residual.shape != x.shape or residual.dtype != x.dtype):
        raise ValueError(
            f"residual must be {x.dtype} {tuple(x.shape)} as x is, "
            f"got {residual.dtype} {tuple(residual.shape)}"
        )
    clip = ACTIVATIONS[activation]
    result: Tensor = torch.ops.simam.simam_epilogue(x, scale, bias, residual, e_lambda, *clip)
    return result


def _check(x: Tensor, e_lambda: float) -> None:
    if x.dim() != 4 or not x.is_floating_point() or x.shape[2] * x.shape[3] == 1:
        raise ValueError(
            f"SimAM wants a floating (N, C, H, W) with H*W >= 2, got {x.dtype} {tuple(x.shape)}"
        )
    if not (math.isfinite(e_lambda) and e_lambda >= 0):
        raise ValueError(f"e_lambda must be finite and not negative, got {e_lambda}")


def _like(x: Tensor) -> Tensor:
    """Return an empty tensor of x's shape: contiguous, or channels-last if only that fits x."""
    last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    kind = torch.channels_last if last else torch.contiguous_format
    return torch.empty_like(x, memory_format=kind)


@torch.library.custom_op(
    "simam::simam", mutates_args=(), schema="(Tensor x, float e_lambda) -> Tensor"
)
def _simam(x: Tensor, e_lambda: float) -> Tensor:
    y = _like(x)
    if runs_on_kernel(x):
        run_kernel(x, y, e_lambda)
        return y
    return y.copy_(formula.attend(x, e_lambda))


@torch.library.custom_op(
    "simam::simam_epilogue",
    mutates_args=(),
    schema="(Tensor x, Tensor scale, Tensor bias, Tensor? residual, float e_lambda, "
    "float clip_min, float clip_max) -> Tensor",
)
def _simam_epilogue(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    e_lambda: float,
    clip_min: float,
    clip_max: float,
) -> Tensor:
    z = _like(x)
    clip = (clip_min, clip_max)
    if runs_on_kernel(x):
        run_kernel(x, z, e_lambda, scale, bias, residual, clip)
        return z
    return z.copy_(formula.finish(formula.attend(x, e_lambda), scale, bias, residual, clip))


@_simam.register_fake
def _(x: Tensor, e_lambda: float) -> Tensor:
    return _like(x)


@_simam_epilogue.register_fake
def _(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    e_lambda: float,
    clip_min: float,
    clip_max: float,
) -> Tensor:
    return _like(x)


def _remember(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
    x, ctx.e_lambda = inputs
    ctx.save_for_backward(x)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    (x,) = ctx.saved_tensors
    return formula.gradient(x, grad, ctx.e_lambda), None


_simam.register_autograd(_differentiate, setup_context=_remember)

"""The SimAM contract: one place for the operators' names, their attributes and their reference.

For a feature map x of shape (N, C, H, W), per plane (n, c), with m = H*W - 1:

    d = x - mean(x);  v = sum(d^2) / m;  y = x * sigmoid(d^2 / (4 * (v + e_lambda)) + 0.5)

Source: Yang et al., "SimAM: A Simple, Parameter-Free Attention Module for Convolutional
Neural Networks", ICML 2021, equations (4) to (6). The sigmoid's argument is at least 0.5, so
a gate lies in [0.6225, 1). H*W == 1 divides by zero.

Version 1 of the domain `simam` holds three operators. x, residual and the result are of one
floating dtype; scale and bias are float32; what lies between is computed in float32.

    SimAM                  x -> y                              e_lambda
    SimAMEpilogue          x, scale, bias -> z                 e_lambda, clip_min, clip_max
    SimAMResidualEpilogue  x, scale, bias, residual -> z       e_lambda, clip_min, clip_max

    z = min(max(y * scale + bias + residual, clip_min), clip_max)

scale and bias, of shape (C,), are the batch norm behind SimAM; residual, of x's shape, is the
skip connection; the bounds are the activation (`ACTIVATIONS`). Bounds rather than the
activation's name, and an operator rather than an optional input, because a FunctionProto cannot
branch: each operator has a body of its own that any runtime with functions can run.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

DOMAIN = "simam"
OP_VERSION = 1
OP_TYPE = "SimAM"
EPILOGUE_OP_TYPE = "SimAMEpilogue"
RESIDUAL_OP_TYPE = "SimAMResidualEpilogue"
LAMBDA_ATTRIBUTE = "e_lambda"
CLIP_ATTRIBUTES = ("clip_min", "clip_max")

INPUTS: Mapping[str, tuple[str, ...]] = {
    OP_TYPE: ("x",),
    EPILOGUE_OP_TYPE: ("x", "scale", "bias"),
    RESIDUAL_OP_TYPE: ("x", "scale", "bias", "residual"),
}
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    OP_TYPE: (LAMBDA_ATTRIBUTE,),
    EPILOGUE_OP_TYPE: (LAMBDA_ATTRIBUTE, *CLIP_ATTRIBUTES),
    RESIDUAL_OP_TYPE: (LAMBDA_ATTRIBUTE, *CLIP_ATTRIBUTES),
}
"""All of type FLOAT, none with a default."""
PLUGIN_ATTRIBUTES: Mapping[str, str] = {
    "plugin_namespace": DOMAIN,
    "plugin_version": str(OP_VERSION),
}
"""Attributes by which TensorRT finds the plugin of a node, beside those of the contract."""

_LARGEST = float(np.finfo(np.float32).max)
ACTIVATIONS: Mapping[str, tuple[float, float]] = {
    "none": (-_LARGEST, _LARGEST),
    "relu": (0.0, _LARGEST),
    "relu6": (0.0, 6.0),
}
"""clip_min and clip_max by activation; an absent bound is what ONNX's own Clip takes for it."""

DEFAULT_LAMBDA = 1e-4
"""The class default in the authors' code."""
GATE_FLOOR = 0.6224593312018546
"""sigmoid(0.5): the gate of a pixel at its plane's mean, and of a collapsed plane."""


def simam_gate(x: npt.ArrayLike, e_lambda: float) -> npt.NDArray[np.float64]:
    """Compute the gate in [0.6225, 1) of every pixel of `x`, in float64.

    Args:
        x: Feature map of shape (N, C, H, W), any real dtype.
        e_lambda: The regulariser lambda, finite and not negative.

    Returns:
        The gate, float64, of x's shape.

    Raises:
        ValueError: `x` is not 4-D or its planes hold fewer than two pixels.
    """
    x64 = np.asarray(x, dtype=np.float64)
    if x64.ndim != 4 or x64.shape[2] * x64.shape[3] < 2:
        raise ValueError(f"SimAM wants (N, C, H, W) with H*W >= 2, got shape {x64.shape}")
    d2 = np.square(x64 - x64.mean(axis=(2, 3), keepdims=True))
    v = d2.sum(axis=(2, 3), keepdims=True) / (x64.shape[2] * x64.shape[3] - 1)
    gate: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(-(d2 / (4.0 * (v + e_lambda)) + 0.5)))
    return gate


def simam_reference(x: npt.ArrayLike, e_lambda: float) -> npt.NDArray[np.float64]:
    """Compute SimAM in float64: `x` times its `simam_gate`. Arguments and errors are the same."""
    return np.asarray(x, dtype=np.float64) * simam_gate(x, e_lambda)


def epilogue_reference(
    x: npt.ArrayLike,
    scale: npt.ArrayLike,
    bias: npt.ArrayLike,
    residual: npt.ArrayLike | None = None,
    *,
    e_lambda: float,
    clip_min: float = -_LARGEST,
    clip_max: float = _LARGEST,
) -> npt.NDArray[np.float64]:
    """Compute SimAM and what the fused operators append to it, in float64.

    Args:
        x: Feature map of shape (N, C, H, W), any real dtype.
        scale: Factor by channel, (C,).
        bias: What is added by channel, (C,).
        residual: What is added by pixel, of x's shape; None adds nothing.
        e_lambda: The regulariser lambda, finite and not negative.
        clip_min: The least value of the result.
        clip_max: The largest value of the result.

    Returns:
        The result, float64, of x's shape.

    Raises:
        ValueError: As for `simam_gate`.
    """
    a, b = (np.asarray(v, dtype=np.float64).reshape(-1, 1, 1) for v in (scale, bias))
    z = simam_reference(x, e_lambda) * a + b
    if residual is not None:
        z = z + np.asarray(residual, dtype=np.float64)
    return np.clip(z, clip_min, clip_max)

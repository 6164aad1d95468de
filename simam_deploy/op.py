"""The SimAM contract: one place for the operator's names, its attribute and its reference.

For a feature map x of shape (N, C, H, W), per plane (n, c), with m = H*W - 1:

    d = x - mean(x);  v = sum(d^2) / m;  y = x * sigmoid(d^2 / (4 * (v + e_lambda)) + 0.5)

Source: Yang et al., "SimAM: A Simple, Parameter-Free Attention Module for Convolutional
Neural Networks", ICML 2021, equations (4) to (6). The sigmoid's argument is at least 0.5, so
a gate lies in [0.6225, 1). H*W == 1 divides by zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DOMAIN = "simam"
OP_TYPE = "SimAM"
OP_VERSION = 1
LAMBDA_ATTRIBUTE = "e_lambda"
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

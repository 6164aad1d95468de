"""BatchNormalization in inference, as the factor and the addend by channel that it is."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array


def is_constant(*values: ir.Value | None) -> bool:
    """Tell whether every value that is there is an initializer or a Constant."""
    return all(v is None or ir.convenience.get_const_tensor(v) is not None for v in values)


def tensor(value: ir.Value | None) -> ir.TensorProtocol:
    """Give the content of a value of which `is_constant` holds."""
    assert value is not None
    content = ir.convenience.get_const_tensor(value)
    assert content is not None
    return content


def affine(bn: ir.Node) -> tuple[Array, Array]:
    """Give gamma / sqrt(var + epsilon) and beta - mean * that, float64, one per channel."""
    gamma, beta, mean, var = (tensor(v).numpy().astype(np.float64) for v in bn.inputs[1:5])
    epsilon = bn.attributes["epsilon"].as_float() if "epsilon" in bn.attributes else 1e-5
    a = gamma / np.sqrt(var + epsilon)
    return a, beta - mean * a

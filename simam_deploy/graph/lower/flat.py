"""The lowering for engines: planes as the rows of a matrix, reduced over its last axis.

Of (N*C, H*W), reduced over axis 1, TensorRT's compiler makes one kernel a site, batch norm, skip
and activation behind it included (two where H*W is 256 or less); of (N, C, H, W), reduced over
axes 2 and 3, four or five in float32 and two in float16. A ResNet-50 plan of TensorRT-RTX 1.7
has 82 launches instead of 134, and 73 without SimAM. Two details are worth launches:

    1. Flatten, not a Reshape to (N, C, H*W): with a dynamic batch that gives 98.
    2. The gate is taken of x / 2 with lambda / 4, which is the same: with a, any factor,
       gate(a * x, a^2 * lambda) = gate(x, lambda), and halving is exact. Without a pointwise op
       between the convolution and the mean, an fp32 engine of batch 1 transposes the map in a
       kernel of its own: 89.
"""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.lower.gate import gate
from simam_deploy.graph.tape import Scalar, Tape

RANK = 2


def lower_flat(model: ir.Model) -> int:
    """Replace every SimAM node by plain ones on its flattened map.

    Returns:
        How many nodes were replaced.
    """
    return expand(model, flat, RANK)


def flat(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit SimAM of x, (N, C, H, W), of the tape's dtype."""
    planes = tape.op("Flatten", x, attributes={"axis": 2})
    half = tape.op("Mul", planes, 0.5)
    y = tape.op("Mul", planes, gate(tape, half, (1,), tape.product(e_lambda, 0.25), ratio))
    return tape.reshape_like(y, x)

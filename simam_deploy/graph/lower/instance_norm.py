"""The lowering through InstanceNormalization: five nodes a site, for ONNX Runtime on a CPU.

InstanceNormalization divides d by sqrt(mean(d^2) + epsilon) and scales by channel. With
r = (H*W - 1) / (H*W), a scale of sqrt(r) / 2 and epsilon = lambda * r, its result squared is
d^2 * r / (4 * (mean(d^2) + lambda * r)): the argument of SimAM's gate less 0.5, exactly.

Scale and epsilon are constants, so H, W and C must be static. ONNX Runtime's kernel takes two
passes, so a large mean costs no more digits than in the published order (4e-5 against 3e-5 at a
mean of 1000 standard deviations). GroupNormalization with a group a channel, which could do the
same, takes one: 0.1.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from simam_deploy.errors import UsageError
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.sites import dims, simam_nodes
from simam_deploy.graph.tape import Scalar, Tape


def lower_instance_norm(model: ir.Model) -> int:
    """Replace every SimAM node by InstanceNormalization, Mul, Add and Sigmoid.

    Returns:
        How many nodes were replaced.

    Raises:
        UsageError: A site's C, H or W is dynamic.
    """
    for node in simam_nodes(model):
        shape = dims(node.inputs[0])
        if len(shape) != 4 or not all(isinstance(d, int) for d in shape[1:]):
            raise UsageError(
                f"as InstanceNormalization it wants fixed sizes, but SimAM {node.name} sees "
                f"{' x '.join(map(str, shape)) or 'an unknown shape'}; take plain ops",
                options=("lowering",),
            )
    return expand(model, _instance_norm, rank=4)


def _instance_norm(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    assert isinstance(e_lambda, float) and isinstance(ratio, float)
    channels = dims(x)[1]
    assert isinstance(channels, int)
    scale = tape.constant(0.5 * math.sqrt(ratio), (channels,))
    zero = tape.constant(0.0, (channels,))
    attributes = {"epsilon": e_lambda * ratio}
    z = tape.op("InstanceNormalization", x, scale, zero, attributes=attributes)
    energy = tape.op("Add", tape.op("Mul", z, z), 0.5)
    return tape.op("Mul", x, tape.op("Sigmoid", energy))

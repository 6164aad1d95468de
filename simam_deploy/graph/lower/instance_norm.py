"""The lowering through InstanceNormalization: seven nodes a site, for ONNX Runtime on a CPU.

InstanceNormalization divides d by sqrt(mean(d^2) + epsilon) and scales by channel. With
r = (H*W - 1) / (H*W), a scale of sqrt(r) / 2 and epsilon = lambda * r, its result squared is
d^2 * r / (4 * (mean(d^2) + lambda * r)): the argument of SimAM's gate less 0.5, exactly.

Scale and epsilon are constants, so H, W and C must be static. ONNX Runtime's kernel takes two
passes, each over a plane in one run: it is given x less its mean, of which its own mean is the
second (2e-7 instead of 4e-5 at a mean of 1000 standard deviations), and a plane too large for one
run (1e-3 at 512x512) is written as `nopow` writes it. GroupNormalization with a group a channel,
which could do the same, takes one pass: 0.1.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from simam_deploy.errors import UsageError
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.lower.mean import fits_one_run, in_one_run
from simam_deploy.graph.lower.nopow import lower_nopow
from simam_deploy.graph.sites import dims, simam_nodes
from simam_deploy.graph.tape import Scalar, Tape


def lower_instance_norm(model: ir.Model) -> int:
    """Replace every SimAM node by InstanceNormalization, Mul, Add and Sigmoid where that is exact.

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
    return expand(model, _instance_norm, 4, fits_one_run) + lower_nopow(model)


def _instance_norm(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    assert isinstance(e_lambda, float) and isinstance(ratio, float)
    channels = dims(x)[1]
    assert isinstance(channels, int)
    scale = tape.constant(0.5 * math.sqrt(ratio), (channels,))
    zero = tape.constant(0.0, (channels,))
    attributes = {"epsilon": e_lambda * ratio}
    d = tape.op("Sub", x, in_one_run(tape, x))
    z = tape.op("InstanceNormalization", d, scale, zero, attributes=attributes)
    energy = tape.op("Add", tape.op("Mul", z, z), 0.5)
    return tape.op("Mul", x, tape.op("Sigmoid", energy))

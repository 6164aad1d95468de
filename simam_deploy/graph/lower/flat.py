"""The lowering for engines: planes as the rows of a matrix, reduced over its last axis.

Of (N*C, H*W), reduced over axis 1, TensorRT's compiler makes one kernel a site, batch norm, skip
and activation behind it included (two where H*W is 256 or less); of (N, C, H, W), reduced over
axes 2 and 3, three or four in float32 and two in float16. A ResNet-50 plan of TensorRT-RTX 1.7
has 82 launches instead of 134, and 73 without SimAM. Three details are worth launches:

    1. Flatten, not a Reshape to (N, C, H*W): with a dynamic batch that gives 98.
    2. The gate is taken of x / 2 with lambda / 4, which is the same: with a, any factor,
       gate(a * x, a^2 * lambda) = gate(x, lambda), and halving is exact. Without a pointwise op
       between the convolution and the mean, an fp32 engine of batch 1 transposes the map in a
       kernel of its own: 89.
    3. One run a plane. A second mean of d inside that kernel costs no launch, two steps cost 121.

A plane too large for one run, where the compiler takes four kernels or more in any case, or one
of unknown size is written as `nopow` writes it: in ONNX Runtime one run would be wrong there. An
engine is built from one run all the same: a GPU's threads sum a plane in a tree. A map that was
made (N, C, H, W) by a Reshape, as a line's, is written so too: a simplifier makes one Flatten of
both, and whoever checks the file could not tell its channels from its pixels.
"""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.lower.gate import by_mul, gate
from simam_deploy.graph.lower.mean import centred, fits_one_run
from simam_deploy.graph.lower.nopow import lower_nopow
from simam_deploy.graph.sites import dims
from simam_deploy.graph.tape import Scalar, Tape

RANK = 2


def lower_flat(model: ir.Model) -> int:
    """Replace every SimAM node by plain ones, on its flattened map where that is exact.

    Returns:
        How many nodes were replaced.
    """
    return expand(model, flat, RANK, takes) + lower_nopow(model)


def takes(x: ir.Value) -> bool:
    """Tell whether x is a map that was not reshaped, of planes that fit one run."""
    node = x.producer()
    reshaped = node is not None and node.op_type == "Reshape" and len(dims(node.inputs[0])) != 4
    return fits_one_run(x) and not reshaped


def lower_flat_for_engine(model: ir.Model) -> int:
    """Replace every SimAM node by plain ones on its flattened map, for TensorRT to read at once.

    Returns:
        How many nodes were replaced.
    """
    return expand(model, flat, RANK, fits_one_run) + expand(model, _flat_once, RANK)


def flat(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit SimAM of x, (N, C, H, W), of the tape's dtype."""
    planes = tape.op("Flatten", x, attributes={"axis": 2})
    d = centred(tape, tape.op("Mul", planes, 0.5), of_rows)
    return _gated(tape, x, planes, d, e_lambda, ratio)


def _flat_once(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit `flat` of one mean: 4 launches a site of a large plane, where a second makes them 6."""
    planes = tape.op("Flatten", x, attributes={"axis": 2})
    half = tape.op("Mul", planes, 0.5)
    d = tape.op("Sub", half, of_rows(tape, half))
    return _gated(tape, x, planes, d, e_lambda, ratio)


def _gated(
    tape: Tape, x: ir.Value, planes: ir.Value, d: ir.Value, e_lambda: Scalar, ratio: Scalar
) -> ir.Value:
    """Emit x times the gate of twice d; `planes` is x, (N*C, H*W)."""
    quarter = tape.product(e_lambda, 0.25)
    gated = tape.op("Mul", planes, gate(tape, d, of_rows, by_mul, quarter, ratio))
    return tape.reshape_like(gated, x)


def of_rows(tape: Tape, x: ir.Value) -> ir.Value:
    """Emit the means of x, (N*C, H*W), as (N*C, 1)."""
    return tape.reduce_mean(x, (1,))

"""Lower `simam::SimAM` nodes to ops that every runtime takes.

With m = H*W - 1 and r = m / (H*W), SimAM's gate argument (see `simam_deploy.op`) is

    d^2 / (4 * (sum(d^2) / m + lambda)) + 0.5  =  d^2 * ((r / 4) / (mean(d^2) + lambda * r)) + 0.5

Read from the right it divides on the (N, C, 1, 1) tensor, not on the map: ten nodes, three
passes over the map fewer than the published order.

Rules:
    1. H and W static: r is a number, nothing is computed from a Shape.
    2. H or W dynamic: r comes from the map's own Shape, once for all sites of equal size.
    3. ReduceMean's axes are an attribute below opset 18 and an input from there on.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from simam_deploy import op
from simam_deploy.graph.sites import dims, e_lambda_of, simam_nodes
from simam_deploy.graph.tape import Tape

SPATIAL = (2, 3)


def lower_portable(model: ir.Model) -> int:
    """Replace every SimAM node by its ten plain ones.

    Returns:
        How many nodes were replaced.
    """
    opset = model.opset_imports[""]
    sizes: dict[tuple[int | str, ...], ir.Value] = {}
    nodes = simam_nodes(model)
    for node in nodes:
        tape = Tape(model.graph, node, opset)
        y = _simam(tape, node, sizes)
        tape.replace(node, y)
    if nodes:
        model.opset_imports.pop(op.DOMAIN, None)
    return len(nodes)


def _simam(tape: Tape, node: ir.Node, sizes: dict[tuple[int | str, ...], ir.Value]) -> ir.Value:
    """Emit one site's nodes and return its output."""
    x = node.inputs[0]
    assert x is not None
    ratio = _ratio(tape, x, sizes)
    e_lambda = e_lambda_of(node)
    d = tape.op("Sub", x, tape.reduce_mean(x, SPATIAL))
    d2 = tape.op("Pow", d, tape.constant(2.0))
    variance = tape.op("Add", tape.reduce_mean(d2, SPATIAL), _times(tape, ratio, e_lambda))
    scale = tape.op("Div", _times(tape, ratio, 0.25), variance)
    energy = tape.op("Add", tape.op("Mul", d2, scale), tape.constant(0.5))
    return tape.op("Mul", x, tape.op("Sigmoid", energy))


def _times(tape: Tape, ratio: float | ir.Value, factor: float) -> ir.Value:
    """Multiply now where the ratio is a number, in the graph where it is not."""
    if isinstance(ratio, float):
        return tape.constant(ratio * factor)
    return tape.op("Mul", ratio, tape.constant(factor))


def _ratio(
    tape: Tape, x: ir.Value, sizes: dict[tuple[int | str, ...], ir.Value]
) -> float | ir.Value:
    """Give (H*W - 1) / (H*W), as a number where H and W are static."""
    height, width = size = dims(x)[2:] or ("?", "?")
    if isinstance(height, int) and isinstance(width, int):
        return (height * width - 1) / (height * width)
    if size not in sizes or "?" in size:
        sizes[size] = _dynamic_ratio(tape, x)
    return sizes[size]


def _dynamic_ratio(tape: Tape, x: ir.Value) -> ir.Value:
    """Emit 1 - 1 / (H*W) from the map's own Shape; float32 holds H*W exactly to 2^24."""
    area = tape.op("ReduceProd", tape.spatial_shape(x), attributes={"keepdims": 0})
    area = tape.op("Cast", area, attributes={"to": ir.DataType.FLOAT})
    one = np.float32(1.0)
    return tape.op("Sub", tape.constant(one), tape.op("Div", tape.constant(one), area))

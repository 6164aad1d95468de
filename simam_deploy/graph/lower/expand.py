"""What all lowerings to plain ops have in common: a site's size, dtype and epilogue.

Rules:
    1. H and W static: r = (H*W - 1) / (H*W) is a number, nothing is computed from a Shape.
    2. H or W dynamic: r comes from the map's own Shape, once for all sites of equal size.
    3. A map in float16 or bfloat16 is cast once, and the result cast back once: in half
       precision the sum of squares overflows silently and every gate becomes 0.6225.
    4. A fused site's scale, bias, residual and bounds follow in float32, before the cast back.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from simam_deploy.graph.sites import clip_of, dims, e_lambda_of, simam_nodes
from simam_deploy.graph.tape import Scalar, Tape
from simam_deploy.op import contract

Emit = Callable[[Tape, ir.Value, Scalar, Scalar], ir.Value]
"""Emits SimAM of a map in the tape's dtype, given lambda and r; returns y, of the map's shape."""
Takes = Callable[[ir.Value], bool]
"""Whether a lowering takes the SimAM of a feature map, given as the graph has it."""
Sizes = dict[tuple[int | str, ...], ir.Value]

_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def anything(x: ir.Value) -> bool:
    """Take every map."""
    return True


def expand(model: ir.Model, emit: Emit, rank: int, takes: Takes = anything) -> int:
    """Replace SimAM nodes, fused or not, by what `emit` makes of them.

    Args:
        model: The model.
        emit: The lowering.
        rank: Of the tensors that `emit` computes with.
        takes: Which feature maps' nodes.

    Returns:
        How many nodes were replaced.
    """
    opset = model.opset_imports[""]
    sizes: Sizes = {}
    nodes = [node for node in simam_nodes(model) if takes(_present(node)[0])]
    for node in nodes:
        tape = Tape(model.graph, node, opset, rank)
        tape.replace(node, _site(tape, node, emit, sizes))
    forget_unused(model)
    return len(nodes)


def forget_unused(model: ir.Model) -> None:
    """Drop the bodies that no node of our domain is left to use, and the domain without nodes."""
    used = {node.op_type for node in model.graph if node.domain == contract.DOMAIN}
    for key in [k for k in model.functions if k[0] == contract.DOMAIN and k[1] not in used]:
        del model.functions[key]
    if not used:
        model.opset_imports.pop(contract.DOMAIN, None)


def _site(tape: Tape, node: ir.Node, emit: Emit, sizes: Sizes) -> ir.Value:
    """Emit one site's nodes and return its output."""
    x, *rest = _present(node)
    ratio = _ratio(tape, node, sizes)
    half = x.dtype if x.dtype in _HALF else None
    wide = tape.cast(x, tape.dtype) if half else x
    y = emit(tape, wide, e_lambda_of(node), ratio)
    if rest:
        y = add_epilogue(tape, y, rest, clip_of(node))
    return tape.cast(y, half) if half else y


def _present(node: ir.Node) -> list[ir.Value]:
    return [v for v in node.inputs if v is not None]


def add_epilogue(
    tape: Tape, y: ir.Value, inputs: list[ir.Value], clip: tuple[Scalar, Scalar]
) -> ir.Value:
    """Emit y * scale + bias, + residual where there is one, and the activation.

    Args:
        tape: Where to.
        y: SimAM's result, of the tape's dtype.
        inputs: scale and bias, (C,), and perhaps the residual, of any floating dtype.
        clip: The bounds.
    """
    scale, bias, *residual = (tape.cast(value, tape.dtype) for value in inputs)
    shape = tape.constant((-1, 1, 1))
    z = tape.op("Mul", y, tape.op("Reshape", scale, shape))
    z = tape.op("Add", z, tape.op("Reshape", bias, shape))
    for value in residual:
        z = tape.op("Add", z, value)
    if clip == contract.ACTIVATIONS["none"]:
        return z
    if clip == contract.ACTIVATIONS["relu"]:
        return tape.op("Relu", z)
    return tape.op("Clip", z, *(tape.constant(c) if isinstance(c, float) else c for c in clip))


def _ratio(tape: Tape, node: ir.Node, sizes: Sizes) -> Scalar:
    """Give (H*W - 1) / (H*W), as a number where H and W are static."""
    x = _present(node)[0]
    size = dims(x)[2:]
    if len(size) == 2 and isinstance(size[0], int) and isinstance(size[1], int):
        return 1 - 1 / (size[0] * size[1])
    if size not in sizes or "?" in size or len(size) != 2:
        sizes[size] = dynamic_ratio(tape, x)
    return sizes[size]


def dynamic_ratio(tape: Tape, x: ir.Value) -> ir.Value:
    """Emit 1 - 1 / (H*W) from the map's own Shape; float32 holds H*W exactly to 2^24."""
    area = tape.op("ReduceProd", tape.spatial_shape(x), attributes={"keepdims": 0})
    area = tape.as_number(tape.op("Cast", area, attributes={"to": tape.dtype}))
    return tape.op("Sub", 1.0, tape.op("Div", 1.0, area))

"""The lowering that keeps the nodes: each operator of the `simam` domain gets a function body.

A runtime that knows functions (ONNX Runtime, TensorRT) expands the body in place of the node,
unless it has a kernel or a plugin of that name. The body serves every floating dtype: it computes
in float32 between a Cast and a CastLike, and takes H*W from the map's Shape, which both fold where
the size is static.

Rules:
    1. The body's opset is the model's own: the two must agree on every op.
    2. It needs opset 18 or newer, which the lowest IR version with functions (8) goes with.
    3. It is arranged as `flat`, by which engines gain most, where all planes that it is called with
       are known to be small enough for one run; else as `nopow`, which is exact at every size.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from simam_deploy.errors import UsageError
from simam_deploy.graph.body_tape import BodyTape, function
from simam_deploy.graph.lower import FUNCTIONS_SINCE
from simam_deploy.graph.lower.expand import add_epilogue, dynamic_ratio
from simam_deploy.graph.lower.flat import RANK as FLAT_RANK
from simam_deploy.graph.lower.flat import flat
from simam_deploy.graph.lower.mean import fits_one_run
from simam_deploy.graph.lower.nopow import nopow
from simam_deploy.graph.lower.portable import RANK
from simam_deploy.graph.passes.fuse_epilogue import fuse_epilogue
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op import contract


def lower_function(model: ir.Model) -> int:
    """Fuse what follows the SimAM nodes into them and give each kind its body.

    Returns:
        How many nodes there are.

    Raises:
        UsageError: The model's opset is below 18.
    """
    opset = model.opset_imports[""]
    if opset < FUNCTIONS_SINCE:
        raise UsageError(
            f"a function body wants opset {FUNCTIONS_SINCE} or newer, got {opset}",
            options=("opset",),
        )
    fuse_epilogue(model)
    nodes = simam_nodes(model)
    for node in nodes:  # of a file that was lowered before
        for name in node.attributes.keys() & contract.PLUGIN_ATTRIBUTES.keys():
            del node.attributes[name]
    for op_type in sorted({node.op_type for node in nodes}):
        maps = [node.inputs[0] for node in nodes if node.op_type == op_type]
        written = body(op_type, opset, all(x is not None and fits_one_run(x) for x in maps))
        model.functions[written.identifier()] = written
        model.opset_imports[contract.DOMAIN] = contract.OP_VERSION
    return len(nodes)


def body(op_type: str, opset: int, small: bool) -> ir.Function:
    """Give the FunctionProto's counterpart for an operator of the contract.

    Args:
        op_type: The operator.
        opset: The model's.
        small: Whether it is only called with planes that fit one run.
    """
    emit, rank = (flat, FLAT_RANK) if small else (nopow, RANK)
    names = contract.ATTRIBUTES[op_type]

    def emit_body(tape: BodyTape, inputs: Sequence[ir.Value]) -> ir.Value:
        x, *rest = inputs
        e_lambda, *clip = map(tape.attribute, names)
        y = emit(tape, tape.cast(x, tape.dtype), e_lambda, dynamic_ratio(tape, x))
        if clip:
            y = add_epilogue(tape, y, rest, (clip[0], clip[1]))
        return tape.op("CastLike", y, x)

    kinds = dict.fromkeys(names, ir.AttributeType.FLOAT)
    return function(op_type, contract.INPUTS[op_type], kinds, opset, emit_body, rank)

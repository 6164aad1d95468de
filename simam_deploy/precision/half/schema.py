"""What ONNX itself says of an op: which inputs and outputs may be half."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx_ir as ir

from simam_deploy.op import contract, detection

_TYPE_NAMES = {ir.DataType.FLOAT16: "tensor(float16)", ir.DataType.BFLOAT16: "tensor(bfloat16)"}


def half_positions(
    node: ir.Node, opset: int, dtype: ir.DataType
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give the inputs and the outputs of a node that share the type of its first output.

    What decides or converts (Cast, ArgMax, comparisons) has none. Inputs of another type stay as
    they are: Resize's scales must be float32, and from opset 15 BatchNormalization's scale, shift
    and statistics may be. (In bfloat16 they would double a cifar_preresnet56's error, 5.3e-3 to
    1.1e-2; in float16 they would change nothing.)

    Returns:
        Indices of inputs and of outputs; both empty where the op does not make `dtype` of `dtype`
        at that opset, as Conv does not bfloat16 below 22, or is of another domain than ours.
    """
    if node.domain == contract.DOMAIN and node.op_type in contract.INPUTS:
        names = contract.INPUTS[node.op_type]
        return tuple(i for i, name in enumerate(names) if name in ("x", "residual")), (0,)
    if node.domain == contract.DOMAIN and node.op_type == detection.ALIGN_OP_TYPE:
        return (1, 2, 3, 4), (0,)
    schema = _schema(node, opset)
    if schema is None or _TYPE_NAMES[dtype] not in schema.outputs[0].types:
        return (), ()
    data = schema.outputs[0].type_str
    inputs = [i for i in range(len(node.inputs)) if _at(schema.inputs, i).type_str == data]
    outputs = [i for i in range(len(node.outputs)) if _at(schema.outputs, i).type_str == data]
    return tuple(inputs), tuple(outputs)


def _schema(node: ir.Node, opset: int) -> onnx.defs.OpSchema | None:
    if node.domain:
        return None
    try:
        return onnx.defs.get_schema(node.op_type, max_inclusive_version=opset)
    except onnx.defs.SchemaError:
        return None


def _at(
    parameters: Sequence[onnx.defs.OpSchema.FormalParameter], index: int
) -> onnx.defs.OpSchema.FormalParameter:
    """Give the formal parameter at `index`; the last one may stand for many."""
    return parameters[min(index, len(parameters) - 1)]

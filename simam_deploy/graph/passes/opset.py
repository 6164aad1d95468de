"""Bring a graph down to an older opset of the default domain, 13 at the lowest.

torch exports opset 18 and up, and onnx's own converter has no way down for BatchNormalization.
Between 13 and 18 an op either kept its meaning, with attributes or inputs added, or is written
anew by one of the rules below; what fits neither is refused. Validation runs the result.

Rules:
    1. Reduce*: axes move from an input into the attribute.
    2. Shape with start or end: a Shape and a Slice.
    3. Reshape with allowzero: drops it where the target shape is constant and holds no zero.
    4. Any other op: the older schema must know its attributes (one that the older schema lacks
       may go where it holds its default) and take as many inputs.
"""

from __future__ import annotations

import onnx
import onnx.version_converter
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from simam_deploy.errors import UsageError
from simam_deploy.graph.detect import STANDARD
from simam_deploy.graph.detect.bodies import without_detection_nodes
from simam_deploy.graph.file.weights import without_weights
from simam_deploy.graph.tape import AXES_AS_INPUT_SINCE, SHAPE_SLICES_SINCE, Tape

LOWEST, NATIVE, HIGHEST = 13, 18, 23
"""The opsets that can be asked for, and the lowest that torch exports by itself."""

_REDUCTIONS = {
    f"Reduce{kind}"
    for kind in ("Max", "Mean", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
}


def convert_opset(model: ir.Model, opset: int) -> ir.Model:
    """Bring a model, weights shared, up to a newer opset with onnx's own converter.

    Functions are inlined then, and a detector's operators are in ONNX's own ops.

    Returns:
        The converted model, or the given one where its opset is not older.

    Raises:
        UsageError: The converter cannot.
    """
    if model.opset_imports[""] >= opset:
        return model
    without_detection_nodes(model, STANDARD)
    if model.functions:  # which the converter drops
        model = InlinePass()(model).model
    try:
        return without_weights(model, lambda p: onnx.version_converter.convert_version(p, opset))
    except (RuntimeError, onnx.version_converter.ConvertError) as error:
        first = str(error).strip().splitlines()[0]
        raise UsageError(f"the file cannot be raised to opset {opset}: {first}") from error


def lower_opset(model: ir.Model, opset: int) -> int:
    """Rewrite the main graph for `opset`; nothing happens where the model's is not newer.

    Returns:
        How many nodes were rewritten.

    Raises:
        UsageError: A node cannot be written in that opset, which the message names, or the model
            holds functions, whose bodies stay in the opset that they were written in.
    """
    if model.opset_imports[""] <= opset:
        return 0
    if model.functions:
        names = ", ".join(sorted(f"{domain}::{name}" for domain, name, _ in model.functions))
        raise UsageError(
            f"opset {opset} cannot hold the function {names}: take {NATIVE}", options=("opset",)
        )
    current, model.opset_imports[""] = model.opset_imports[""], opset
    return sum(_lower(model.graph, n, current, opset) for n in list(model.graph) if not n.domain)


def _lower(graph: ir.Graph, node: ir.Node, current: int, opset: int) -> bool:
    """Apply the rule that fits; True when the node changed."""
    if node.op_type in _REDUCTIONS and opset < AXES_AS_INPUT_SINCE:
        return _axes_to_attribute(node)
    sliced = {"start", "end"} & set(node.attributes)
    if node.op_type == "Shape" and sliced and opset < SHAPE_SLICES_SINCE:
        return _slice_shape(graph, node, opset)
    if node.op_type == "Reshape" and _keeps_all_dims(node):
        node.attributes.pop("allowzero", None)
    return _fit_schema(node, current, opset)


def _axes_to_attribute(node: ir.Node) -> bool:
    """Rule 1."""
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    if axes is not None:
        if axes.const_value is None:
            raise UsageError(
                f"{node.op_type} with computed axes needs opset {NATIVE} or newer",
                options=("opset",),
            )
        node.attributes["axes"] = ir.AttrInt64s("axes", axes.const_value.numpy().tolist())
        node.resize_inputs(1)
    node.attributes.pop("noop_with_empty_axes", None)
    return True


def _slice_shape(graph: ir.Graph, node: ir.Node, opset: int) -> bool:
    """Rule 2."""
    x = node.inputs[0]
    assert x is not None
    bounds = [node.attributes[k].as_int() if k in node.attributes else d for k, d in _BOUNDS]
    tape = Tape(graph, node, opset)
    whole = tape.op("Shape", x)
    tape.replace(node, tape.op("Slice", whole, *(tape.constant([b]) for b in bounds)))
    return True


_BOUNDS = (("start", 0), ("end", 2**63 - 1))


def _keeps_all_dims(node: ir.Node) -> bool:
    """Tell whether a Reshape's target is constant and without a zero, which allowzero is about."""
    shape = node.inputs[1]
    return (
        shape is not None
        and shape.const_value is not None
        and bool(shape.const_value.numpy().all())
    )


def _fit_schema(node: ir.Node, current: int, opset: int) -> bool:
    """Rule 4."""
    older = _schema(node.op_type, opset)
    newer = _schema(node.op_type, current)
    if older is None or newer is None or len(node.inputs) > older.max_input:
        raise UsageError(
            f"opset {opset} cannot express {node.op_type}: take {NATIVE}", options=("opset",)
        )
    unknown = set(node.attributes) - set(older.attributes)
    for name in unknown:
        default = newer.attributes[name].default_value
        if onnx.helper.get_attribute_value(default) != node.attributes[name].value:
            raise UsageError(
                f"opset {opset} cannot express {node.op_type} with {name} = "
                f"{node.attributes[name].value}: take {NATIVE}",
                options=("opset",),
            )
        del node.attributes[name]
    return bool(unknown)


def _schema(op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """Look up what the op was at that opset; None where it did not exist yet."""
    try:
        return onnx.defs.get_schema(op_type, max_inclusive_version=opset)
    except onnx.defs.SchemaError:
        return None

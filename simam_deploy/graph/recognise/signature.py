"""One node apart from its graph: infer its output types and compute it, by its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from simam_deploy.core.arrays import Array
from simam_deploy.graph.recognise.constant import Constant

# fmt: off
_ARITHMETIC = frozenset((
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Concat", "ConstantOfShape", "Div",
    "Equal", "Exp", "Expand", "Flatten", "Floor", "Gather", "Greater", "GreaterOrEqual", "Identity",
    "Less", "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow",
    "Reciprocal", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round", "Slice",
    "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
))
# fmt: on
"""What shapes and lambdas are computed with: deterministic, as cheap as its operands are small."""

_MISFITS = (
    onnx.shape_inference.InferenceError,
    onnx.checker.ValidationError,
    RuntimeError,
    ValueError,
)
"""What inference raises where types or shapes do not fit the operator."""

Types = list[onnx.TypeProto | None]


class Signature:
    """A node of an ONNX operator, its inputs and outputs renamed by position.

    Attributes:
        computable: Whether `compute` may be called.
    """

    def __init__(self, node: ir.Node, schema: onnx.defs.OpSchema, opset: int) -> None:
        self.computable = node.op_type in _ARITHMETIC
        self._is_cast = node.op_type in ("Cast", "CastLike")
        self._schema = schema
        self._proto = ir.serde.serialize_node(node)
        self._inputs = ["" if v is None else f"i{k}" for k, v in enumerate(node.inputs)]
        self._outputs = [f"o{k}" for k in range(len(node.outputs))]
        self._proto.ClearField("input")
        self._proto.ClearField("output")
        self._proto.input.extend(self._inputs)
        self._proto.output.extend(self._outputs)
        self._opsets = [onnx.helper.make_opsetid("", opset)]
        context = onnx.checker.C.CheckerContext()
        context.ir_version, context.opset_imports = onnx.IR_VERSION, {"": opset}
        onnx.checker.check_node(self._proto, context)

    @classmethod
    def of(cls, node: ir.Node, opsets: Mapping[str, int]) -> Signature | None:
        """Return the signature of `node`; None if it has a body, or is no valid node of ONNX."""
        opset = opsets.get("")
        kinds = {attribute.type for attribute in node.attributes.values()}
        if node.domain != "" or opset is None or ir.AttributeType.GRAPH in kinds:
            return None
        try:
            return cls(node, onnx.defs.get_schema(node.op_type, opset, ""), opset)
        except (onnx.defs.SchemaError, onnx.checker.ValidationError, ir.serde.SerdeError):
            return None

    def infer(
        self, types: Sequence[onnx.TypeProto | None], data: Sequence[Array | None]
    ) -> Types | None:
        """Return what follows for each output from the inputs; None if the inputs do not fit."""
        named = list(zip(self._inputs, types, data, strict=True))
        try:
            inferred = onnx.shape_inference.infer_node_outputs(
                self._schema,
                self._proto,
                {name: kind for name, kind, _ in named if kind is not None},
                {n: numpy_helper.from_array(a) for n, _, a in named if a is not None},
                opset_imports=self._opsets,
            )
        except _MISFITS:
            return None
        return [inferred.get(name) for name in self._outputs]

    def compute(self, operands: Sequence[Constant | None]) -> list[Constant]:
        """Return the outputs; none of them if the operands do not fit the operator."""
        sources = [operand for operand in operands if operand is not None]
        arrays = self._evaluate([None if o is None else o.array for o in operands])
        if not any(array.dtype.kind in "fV" for array in arrays):
            meant = arrays
        elif self._is_cast:
            meant = [sources[0].meant.astype(np.float64)]
        else:
            meant = self._evaluate([None if o is None else o.meant for o in operands])
        pairs = zip(arrays, meant, strict=False)
        return [Constant.computed(array, exact, sources) for array, exact in pairs]

    def _evaluate(self, data: Sequence[Array | None]) -> list[Array]:
        feeds = {n: a for n, a in zip(self._inputs, data, strict=True) if n and a is not None}
        function = onnx.helper.make_function(
            "recognise", "Node", list(feeds), self._outputs, [self._proto], self._opsets
        )
        try:
            with np.errstate(all="ignore"):
                outputs = ReferenceEvaluator(function).run(None, feeds, attributes={})
        except (TypeError, ValueError, IndexError, RuntimeError, ArithmeticError, AttributeError):
            # The evaluator checks no operands: it fails as numpy fails.
            return []
        return [np.asarray(output) for output in outputs]

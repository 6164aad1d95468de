"""One reading of a graph: the shape of every value, and the value of the small ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.graph.recognise.constant import Constant
from simam_deploy.graph.recognise.signature import Signature, Types
from simam_deploy.graph.recognise.sizes import Sizes
from simam_deploy.op import contract

_LARGEST_OPERAND = 64
"""Elements: a shape or a scalar."""

Dims = tuple[int, ...]


class Facts:
    """What holds for the values of a model's graph at one choice of `Sizes`.

    Args:
        model: Read only; of its tensors only small ones are loaded.
        sizes: The numbers to put for its symbols.
        signatures: A cache that the readings of one model share.
        stored: Another, of the constants that its file holds.
    """

    def __init__(
        self,
        model: ir.Model,
        sizes: Sizes,
        signatures: dict[ir.Node, Signature | None],
        stored: dict[ir.Value, Constant | None],
    ) -> None:
        self._model = model
        self._sizes = sizes
        self._signatures = signatures
        self._stored = stored
        self._types: dict[ir.Value, onnx.TypeProto] = {}
        self._shapes: dict[ir.Value, Dims | None] = {}
        self._constants: dict[ir.Value, Constant | None] = {}
        self._guessed: set[ir.Value] = set()

    def shape(self, value: ir.Value) -> Dims | None:
        """Return the shape of `value`, None if it is no tensor."""
        kind = self._type(value)
        if value not in self._shapes:
            tensor = kind.tensor_type if kind.HasField("tensor_type") else None
            dims = None if tensor is None else tuple(dim.dim_value for dim in tensor.shape.dim)
            self._shapes[value] = dims
        return self._shapes[value]

    def dtype(self, value: ir.Value) -> ir.DataType:
        """Return the element type of `value`, UNDEFINED if it is no tensor."""
        return ir.DataType(self._type(value).tensor_type.elem_type)

    def guessed(self, value: ir.Value) -> bool:
        """Tell whether the shape of `value` rests on a guess, and so proves nothing."""
        self._type(value)
        return value in self._guessed

    def constant(self, value: ir.Value) -> Constant | None:
        """Return the small constant that `value` is, None if it is none."""
        if value in self._constants:
            return self._constants[value]
        if value not in self._stored:
            tensor = self._tensor(value)
            readable = tensor is not None and Constant.is_readable(tensor)
            self._stored[value] = Constant.stored(tensor) if tensor and readable else None
        return self._stored[value]

    def is_valid(self, node: ir.Node) -> bool:
        """Tell whether `node`, once observed, is one of ONNX's own and has no body."""
        return self._signatures.get(node) is not None

    def observe(self, node: ir.Node) -> None:
        """Learn what the outputs of `node` are; the nodes before it have been observed."""
        if node.domain == "" and node.op_type == "Constant":
            return
        constants = [None if v is None else self._operand(v) for v in node.inputs]
        data = [None if c is None else c.array for c in constants]
        inferred = self._infer(node, data)
        types = inferred or [None] * len(node.outputs)
        rests_on_guess = any(v is not None and self.guessed(v) for v in node.inputs)
        for value, kind in zip(node.outputs, types, strict=True):
            if rests_on_guess and value.shape is not None:
                self._learn(value, None, guess=False)
            else:
                self._learn(value, kind, guess=rests_on_guess or inferred is None)
        for value, constant in zip(
            node.outputs, self._compute(node, types, constants), strict=False
        ):
            self._constants[value] = constant

    def unite(self, value: ir.Value, outcomes: Sequence[ir.Value]) -> None:
        """Learn that `value` is one of `outcomes`: those of the branches of an If."""
        kinds = [self._type(outcome) for outcome in outcomes]
        same = bool(kinds) and all(kind == kinds[0] for kind in kinds)
        guess = any(self.guessed(outcome) for outcome in outcomes)
        self._learn(value, kinds[0] if same else None, guess)
        if len(outcomes) == 1:
            self._constants[value] = self.constant(outcomes[0])

    def _operand(self, value: ir.Value) -> Constant | None:
        """Return the constant that `value` is, if shapes may follow from it."""
        shape = self.shape(value)
        small = shape is not None and math.prod(shape) <= _LARGEST_OPERAND
        return self.constant(value) if small else None

    def _infer(self, node: ir.Node, data: Sequence[Array | None]) -> Types | None:
        """Return what follows for the outputs; None if the inputs contradict the operator."""
        nothing: Types = [None] * len(node.outputs)
        if node.domain == contract.DOMAIN and node.inputs and node.inputs[0] is not None:
            return [self._type(node.inputs[0]), *nothing[1:]]
        if node not in self._signatures:
            self._signatures[node] = Signature.of(node, self._model.opset_imports)
        signature = self._signatures[node]
        if signature is None:
            return nothing
        return signature.infer([None if v is None else self._type(v) for v in node.inputs], data)

    def _compute(
        self, node: ir.Node, types: Types, operands: Sequence[Constant | None]
    ) -> list[Constant]:
        """Return the outputs if they are small and follow from constants or from a shape."""
        signature = self._signatures.get(node)
        if signature is None or not all(_is_small(kind) for kind in types):
            return []
        if node.op_type in ("Shape", "Size"):
            return self._measure(node)
        pairs = zip(operands, node.inputs, strict=True)
        known = all(operand or value is None for operand, value in pairs)
        return signature.compute(operands) if signature.computable and known else []

    def _measure(self, node: ir.Node) -> list[Constant]:
        shape = self.shape(node.inputs[0]) if node.inputs and node.inputs[0] else None
        if shape is None:
            return []
        start, end = (node.attributes.get_int(n, d) for n, d in (("start", 0), ("end", len(shape))))
        size = math.prod(shape) if node.op_type == "Size" else shape[start:end]
        return [Constant(np.array(size, np.int64), np.array(size, np.int64))]

    def _tensor(self, value: ir.Value) -> ir.TensorProtocol | None:
        # From IR 4 on an initializer that is an input too is a default that a caller may replace.
        if value.is_graph_input() and self._model.ir_version >= 4:
            return None
        try:
            return ir.convenience.get_const_tensor(value)
        except (ValueError, TypeError):
            # A Constant with no attribute, several, or one of the wrong type.
            return None

    def _type(self, value: ir.Value) -> onnx.TypeProto:
        if value not in self._types:
            tensor = self._tensor(value)
            if tensor is None:
                self._learn(value, None, guess=False)
            else:
                kind = onnx.helper.make_tensor_type_proto(tensor.dtype, tensor.shape.numpy())
                self._types[value] = kind
        return self._types[value]

    def _learn(self, value: ir.Value, inferred: onnx.TypeProto | None, guess: bool) -> None:
        """Settle the type of `value`: as inferred, else as declared, else by a guess."""
        self._shapes.pop(value, None)
        if inferred is not None and not inferred.HasField("tensor_type"):
            self._types[value] = inferred
            return
        tensor = onnx.TypeProto.Tensor() if inferred is None else inferred.tensor_type
        dims = self._dims(value, tensor)
        if dims is None:
            dims, guess = (2, 3, self._sizes.fresh(), self._sizes.fresh()), True
        dtype = tensor.elem_type or value.dtype or ir.DataType.FLOAT
        self._types[value] = onnx.helper.make_tensor_type_proto(int(dtype), dims)
        (self._guessed.add if guess else self._guessed.discard)(value)

    def _dims(self, value: ir.Value, tensor: onnx.TypeProto.Tensor) -> Dims | None:
        """Return the shape as inferred; where that is open as declared, else a fresh number."""
        inferred = tensor.shape.dim if tensor.HasField("shape") else None
        if inferred is not None and all(dim.HasField("dim_value") for dim in inferred):
            return tuple(dim.dim_value for dim in inferred)
        declared = None if value.shape is None else self._sizes.numbers(value.shape)
        if inferred is None:
            return declared
        if declared is None or len(declared) != len(inferred):
            declared = tuple(self._sizes.fresh() for _ in inferred)
        pairs = zip(inferred, declared, strict=True)
        return tuple(i.dim_value if i.HasField("dim_value") else d for i, d in pairs)


def _is_small(kind: onnx.TypeProto | None) -> bool:
    """Tell whether a type is a tensor's of few elements, all of its dimensions known."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return False
    dims = kind.tensor_type.shape.dim
    known = all(dim.HasField("dim_value") for dim in dims)
    return known and math.prod(dim.dim_value for dim in dims) <= _LARGEST_OPERAND

"""The table of precisions and element types as ONNX has them, and a model's precision."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from simam_deploy.core.specs import ELEMENTS, PRECISIONS, numpy_name

_BY_NAME = {element.name: ir.DataType[element.onnx.upper()] for element in ELEMENTS}
FLOAT_TYPES = {name: _BY_NAME[precision.floats] for name, precision in PRECISIONS.items()}
"""By precision, what it computes floats in, SimAM's result among them."""
HALF_TYPES = {name: dtype for name, dtype in FLOAT_TYPES.items() if dtype != ir.DataType.FLOAT}
HALVES = tuple(HALF_TYPES.values())
PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators that sum up products of what they are given with weights."""
LAYERS = PRODUCTS | {"BatchNormalization"}
"""Operators that compute a value from weights."""
LARGEST = {ir.DataType.FLOAT16: 65504.0, ir.DataType.BFLOAT16: (2 - 2**-7) * 2.0**127}
EPSILON = {
    ir.DataType.FLOAT: 2.0**-23,
    ir.DataType.FLOAT16: 2.0**-10,
    ir.DataType.BFLOAT16: 2.0**-7,
}
"""From 1 to the next number; rounding moves a normal number by at most half of this of itself."""
SMALLEST_NORMAL = {
    ir.DataType.FLOAT: 2.0**-126,
    ir.DataType.FLOAT16: 2.0**-14,
    ir.DataType.BFLOAT16: 2.0**-126,
}
LEAST_OPSET = {"bf16": 22, "fp8": 19}
"""Where Conv and the poolings, or DequantizeLinear, are defined for the type; 13 does for the
others."""
FLOAT8 = ir.DataType.FLOAT8E4M3FN

_INTEGER_WORDS = ("uantize", "QLinear", "QGemm", "QAttention", "Integer", "NBits")
"""In the names of all ops that quantise or compute quantised, ONNX's and ONNX Runtime's."""


def dtype_name(dtype: ir.DataType | None) -> str:
    """Give numpy's name of a dtype, `?` where it is unknown."""
    return "?" if dtype is None else numpy_name(dtype.name.lower())


def precision_name(dtype: ir.DataType) -> str:
    """Give the precision that computes in a float type; of another type, its own name."""
    return next((name for name, own in FLOAT_TYPES.items() if own == dtype), dtype.name.lower())


def precision_of(model: ir.Model) -> str:
    """Tell a model's precision: the lowest that anything in it is stored or computed in.

    int8 where a node quantises or is quantised, be it weights alone or one layer of many, and fp8
    where it does so by eight-bit floats; else half where any input, weight, constant or result is.
    Whoever judges the model has the rounding of that to reckon with.
    """
    if any(is_quantised(node) for node in _all_nodes(model)):
        return "fp8" if FLOAT8 in _dtypes(model) else "int8"
    return precision_name(float_type(model))


def is_quantised(node: ir.Node) -> bool:
    """Tell whether a node quantises, dequantises or computes in integers for floats."""
    return any(word in node.op_type for word in _INTEGER_WORDS)


def float_type(model: ir.Model) -> ir.DataType:
    """Give the half type that anything of a model is in, FLOAT where nothing is."""
    found = set(_dtypes(model))
    return next((half for half in HALVES if half in found), ir.DataType.FLOAT)


def _dtypes(model: ir.Model) -> Iterator[ir.DataType | None]:
    """Yield the types that a file states, those of Casts and constants for its values' too."""
    for graph in model.graphs():
        yield from (value.dtype for value in (*graph.inputs, *graph.initializers.values()))
    for node in _all_nodes(model):
        yield from (value.dtype for value in node.outputs)
        for attribute in node.attributes.values():
            if attribute.is_ref():
                continue
            if attribute.type == ir.AttributeType.TENSOR:
                yield attribute.as_tensor().dtype
            elif node.op_type == "Cast" and attribute.name == "to":
                yield ir.DataType(attribute.as_int())


def _all_nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Yield every node, of nested graphs and of functions too."""
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()

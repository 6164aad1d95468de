"""SimAM as ONNX text, each step a line that a test may write otherwise."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx import parser

BASE = {
    "mean": "mean = ReduceMean <axes = [2, 3]> (x)",
    "d": "d = Sub (x, mean)",
    "d2": "d2 = Mul (d, d)",
    "s": "s = ReduceSum (d2, axes)",
    "v": "v = Div (s, n)",
    "sum": "sum = Add (v, lam)",
    "denominator": "denominator = Mul (sum, four)",
    "quotient": "quotient = Div (d2, denominator)",
    "energy": "energy = Add (quotient, half)",
    "gate": "gate = Sigmoid (energy)",
    "y": "y = Mul (x, gate)",
}
CONSTANTS = {
    "axes": "int64[2] axes = {2, 3}",
    "n": "float n = {3135}",
    "lam": "float lam = {0.1}",
    "four": "float four = {4}",
    "half": "float half = {0.5}",
    "one": "float one = {1}",
    "two": "float two = {2}",
    "minus_one": "float minus_one = {-1}",
    "quarter": "float quarter = {0.25}",
}


def formula(
    *,
    source: str = "float[2, 4, 56, 56] x",
    results: str = "float[2, 4, 56, 56] y",
    opset: int = 13,
    constants: dict[str, str] | None = None,
    **steps: str,
) -> ir.Model:
    """Return a model of SimAM at lambda 0.1 with some of its lines replaced.

    Args:
        source: The declared input.
        results: The declared outputs.
        opset: Of the ONNX operators.
        constants: Declarations that replace or add to `CONSTANTS`.
        steps: What to write instead of a line of `BASE`, or behind them all.
    """
    lines = "\n".join({**BASE, **steps}.values())
    stored = ", ".join({**CONSTANTS, **(constants or {})}.values())
    return parsed(f"({source}) => ({results}) <{stored}> {{ {lines} }}", opset)


def in_dtype(model: ir.Model, dtype: ir.DataType) -> ir.Model:
    """Return `model` with every float32 of it made `dtype`: the text format has no other floats."""
    graph = model.graph
    for value in graph.initializers.values():
        if value.dtype == ir.DataType.FLOAT and value.const_value is not None:
            with np.errstate(over="ignore"):
                array = value.const_value.numpy().astype(dtype.numpy())
            value.const_value = ir.tensor(array)
            value.dtype = dtype
    for value in [*graph.inputs, *graph.outputs]:
        value.dtype = dtype
    return model


def parsed(graph: str, opset: int = 13, ir_version: int = 8) -> ir.Model:
    """Return a model of the graph `graph`, in ONNX text from its inputs on."""
    text = f'<ir_version: {ir_version}, opset_import: ["" : {opset}]> g {graph}'
    return ir.from_proto(parser.parse_model(text))


def checked(model: ir.Model) -> onnx.ModelProto:
    """Return `model` as protobuf, which the checker takes."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    return proto

"""Run a model that holds `simam::SimAM` nodes on ONNX Runtime, the nodes written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import inliner, parser

from simam_deploy.op import contract

Array = npt.NDArray[Any]


def body(opset: int, dtype: ir.DataType) -> onnx.FunctionProto:
    """Return the operator as a function of ONNX operators, from and to `dtype`, inside in fp32."""
    mean_axes = "<axes = [2, 3]> (f" if opset < 18 else "(f, axes"
    sum_axes = "<axes = [2, 3]> (d2" if opset < 13 else "(d2, axes"
    return parser.parse_function(f"""
        <domain: "{contract.DOMAIN}", opset_import: ["" : {opset}]>
        {contract.OP_TYPE} <{contract.LAMBDA_ATTRIBUTE}> (x) => (y) {{
            axes = Constant<value = int64[2] {{2, 3}}>()
            two = Constant<value = int64[1] {{2}}>()
            four = Constant<value = int64[1] {{4}}>()
            one = Constant<value = int64 {{1}}>()
            half = Constant<value = float {{0.5}}>()
            quadruple = Constant<value = float {{4.0}}>()
            lambda = Constant<value_float: float = @{contract.LAMBDA_ATTRIBUTE}>()
            f = Cast<to = 1>(x)
            mean = ReduceMean{mean_axes})
            d = Sub(f, mean)
            d2 = Mul(d, d)
            s = ReduceSum{sum_axes})
            shape = Shape(x)
            hw = Slice(shape, two, four)
            size = ReduceProd<keepdims = 0>(hw)
            n = Sub(size, one)
            divisor = Cast<to = 1>(n)
            v = Div(s, divisor)
            sum = Add(v, lambda)
            denominator = Mul(sum, quadruple)
            quotient = Div(d2, denominator)
            energy = Add(quotient, half)
            gate = Sigmoid(energy)
            wide = Mul(f, gate)
            y = Cast<to = {int(dtype)}>(wide)
        }}""")


def written_out(model: ir.Model) -> onnx.ModelProto:
    """Return `model` with its SimAM nodes replaced by what they stand for."""
    proto = ir.to_proto(model)
    (opset,) = (o.version for o in proto.opset_import if o.domain == "")
    dtype = model.graph.inputs[0].dtype
    assert dtype is not None
    proto.functions.append(body(opset, dtype))
    return inliner.inline_local_functions(proto)


def run(proto: onnx.ModelProto, *inputs: Array) -> list[Array]:
    """Return the outputs, computed without any optimisation that could take the same path."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = zip((i.name for i in session.get_inputs()), inputs, strict=True)
    return session.run(None, dict(feeds))


def difference(a: Array, b: Array) -> float:
    """Return the largest difference over the largest value of `b`."""
    wide = b.astype(np.float64)
    return float(np.abs(a.astype(np.float64) - wide).max() / np.abs(wide).max())

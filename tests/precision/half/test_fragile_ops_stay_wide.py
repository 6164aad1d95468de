"""Ops whose results leave the range of half, or lose its digits: float32 in a half graph, each."""

import onnx_ir as ir
import pytest

from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.half.half import to_half
from tests.graph.onnx_text import model
from tests.precision.half.graphs import BF16, FP16

SUMS = "L1", "L2", "LogSum", "LogSumExp", "Prod", "Sum", "SumSquare"
FRAGILE = {
    **{f"Reduce{kind}": f"Reduce{kind}<keepdims = 1>(a)" for kind in SUMS},
    **{op: f"{op}(a)" for op in ("Exp", "Log", "LogSoftmax", "Reciprocal", "Softmax", "Sqrt")},
    "Pow": "Pow(a, two)",
}


@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("op_type", FRAGILE)
def test_it_computes_in_float32(op_type, dtype):
    graph = typed(
        model(
            f"""<ir_version: 10, opset_import: ["" : 22]>
            g (float[2,4] x) => (float[a,b] y) <float two = {{2}}> {{
                a = Relu(x) f = {FRAGILE[op_type]} y = Relu(f)
            }}"""
        )
    )
    to_half(graph, dtype)
    (node,) = [node for node in graph.graph if node.op_type == op_type]
    assert (node.inputs[0].dtype, node.outputs[0].dtype) == (ir.DataType.FLOAT, ir.DataType.FLOAT)
    relus = [node.inputs[0].dtype for node in graph.graph if node.op_type == "Relu"]
    assert relus == [dtype, dtype], "it would be float32 with all the rest"

"""The one table of precisions and element types, and a model's precision."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy.core.specs import ELEMENTS, PRECISIONS
from simam_deploy.engine.plan.plan_facts import _format
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.graph.types import EPSILON, FLOAT_TYPES, float_type, precision_name, precision_of
from simam_deploy.serve.protocol.datatypes import DTYPES
from simam_deploy.verify.bisect import convert
from tests.graph.onnx_text import model, simam_model
from tests.precision.half.graphs import BF16, FP16, block, naive


def plain(dtype: ir.DataType | None = None) -> ir.Model:
    graph = block()
    lower_portable(graph)
    return graph if dtype is None else convert(graph, dtype, ())


def quantised(body: str, weights: str = "", opset: int = 18) -> ir.Model:
    return model(
        f"""<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1, "own" : 1]>
        g (float[n,4] x) => (float[n,4] y)
        <float s = {{0.5}}, int8 z = {{0}}, float[4,4] w{weights}> {{ {body} }}""",
        w=np.eye(4, dtype=np.float32),
        q=np.eye(4, dtype=np.int8),
    )


QUANTISED = {
    "a pair": "a = QuantizeLinear(x, s, z) y = DequantizeLinear(a, s, z)",
    "weights alone": "d = DequantizeLinear(q, s, z) y = MatMul(x, d)",
    "one layer of three": """b = MatMul(x, w) c = MatMul(b, w)
        a = QuantizeLinear(c, s, z) d = DequantizeLinear(a, s, z) y = MatMul(d, w)""",
    "QLinear": """a = QuantizeLinear(x, s, z) m = QLinearMatMul(a, s, z, q, s, z, s, z)
        y = DequantizeLinear(m, s, z)""",
    "integers": """a, t, p = DynamicQuantizeLinear(x) i = MatMulInteger(a, q, p, z)
        y = Cast<to = 1>(i)""",
    "Microsoft's": "y = com.microsoft.MatMulNBits<K = 4, N = 4, bits = 4>(x, q, s)",
    "beside half": """h = Cast<to = 10>(x) f = Cast<to = 1>(h)
        a = QuantizeLinear(f, s, z) y = DequantizeLinear(a, s, z)""",
}


@pytest.mark.parametrize("body", QUANTISED.values(), ids=QUANTISED)
def test_whatever_is_quantised_is_int8(body):
    assert precision_of(quantised(body)) == "int8"


def test_what_a_function_does_counts():
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "own" : 1]>
        g (float[4] x) => (float[4] y) { y = own.Through(x) }
        <opset_import: ["" : 18], domain: "own"> Through (x) => (y) {
            s = Constant<value = float {0.5}>() z = Constant<value = int8 {0}>()
            a = QuantizeLinear(x, s, z) y = DequantizeLinear(a, s, z) }"""
    )
    assert precision_of(ir.from_proto(proto)) == "int8"


@pytest.mark.parametrize(
    ("graph", "precision"),
    [
        (plain, "fp32"),
        (lambda: plain(FP16), "fp16"),
        (lambda: plain(BF16), "bf16"),
        (lambda: naive(9, 9, BF16), "bf16"),
        (lambda: simam_model("1,4,9,9", dtype="float16"), "fp16"),
        (lambda: simam_model("1,4,9,9", dtype="bfloat16"), "bf16"),
        (lambda: simam_model("1,4,9,9", dtype="double"), "fp32"),
    ],
)
def test_half_is_told_from_the_graph(graph, precision):
    assert precision_of(graph()) == precision
    assert float_type(graph()) == FLOAT_TYPES[precision]


@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["fp16", "bf16"])
@pytest.mark.parametrize("where", ["input", "weight", "Constant", "Cast", "stated value"])
def test_one_half_value_anywhere_makes_it_half(where, dtype):
    graph = quantised("a = MatMul(x, w) b = Identity(a) y = Identity(b)")
    value = graph.graph[1].outputs[0]
    if where == "input":
        graph.graph.inputs[0].type = ir.TensorType(dtype)
    elif where == "weight":
        graph.graph.initializers["w"].const_value = ir.tensor(np.eye(4).astype(dtype.numpy()))
        graph.graph.initializers["w"].type = ir.TensorType(dtype)
    elif where == "Constant":
        tensor = ir.tensor(np.eye(4).astype(dtype.numpy()))
        node = ir.node("Constant", [], attributes={"value": tensor})
        node.outputs[0].type = None
        graph.graph.insert_before(graph.graph[0], node)
    elif where == "Cast":
        node = ir.node("Cast", [graph.graph.inputs[0]], attributes={"to": dtype})
        graph.graph.insert_before(graph.graph[0], node)
    else:
        value.type = ir.TensorType(dtype)
    assert precision_of(graph) == precision_name(dtype)


def test_every_precision_has_a_float_type_and_its_unit():
    for name, precision in PRECISIONS.items():
        assert FLOAT_TYPES[name] in EPSILON
        assert precision.floats in {element.name for element in ELEMENTS}
    assert [precision_name(dtype) for dtype in EPSILON] == ["fp32", "fp16", "bf16"]


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda e: e.name)
def test_an_element_type_has_one_name_here_whoever_names_it(element):
    graph = model(
        f"""<ir_version: 10, opset_import: ["" : 22]>
        g ({element.onnx}[2] x) => ({element.onnx}[2] y) {{ y = Identity(x) }}"""
    )
    (spec,), _ = interface(graph)
    assert spec.dtype == element.name
    if element.name != "bfloat16":
        assert DTYPES[element.protocol] == np.dtype(element.name)


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        ("Row major linear BFloat16", "bf16"),
        ("Row major linear Half", "fp16"),
        ("Channel major FP16 format where channel % 8 == 0", "fp16"),
        ("Row major linear FP32", "fp32"),
        ("Row major linear Float", "fp32"),
        ("Thirty-two wide channel vectorized row major Int8 format", "int8"),
        ("Row major linear Int32", None),
    ],
)
def test_what_the_inspector_calls_a_format(text, precision):
    assert _format({"Format/Datatype": text}) == precision

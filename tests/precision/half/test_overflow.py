"""The node that overflows is named, whatever it is; what is infinite on purpose is none."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.half.overflow import find_overflow
from tests.graph.onnx_text import model
from tests.precision.half.graphs import BF16, FP16

X = {"x": np.array([[3, 160, -900, 1]], np.float32)}
BODIES = {
    "Add skip": "[skip] b = Add(z, q) c = Relu(b) y = Mul(c, w)",
    "Mul square": "[square] b = Mul(x, x) c = Relu(b) y = Sub(c, c)",
    "MatMul dense": "[dense] b = MatMul(x, m) y = Sigmoid(b)",
    "ReduceSum sum": "c = Abs(z) d = Add(c, c) [sum] a = ReduceSum(d, axes) y = Sigmoid(a)",
}
WEIGHTS = {
    "w": np.array([1, 200, 1, 1], np.float32),
    "m": np.full((4, 4), 9e3, np.float32),
    "axes": np.array([1]),
    "q": np.array([0, 4e4, 0, 0], np.float32),
    "i": np.array(-np.inf, np.float32),
}


def halved(body: str, dtype: ir.DataType) -> ir.Model:
    graph = typed(
        model(
            f"""<ir_version: 10, opset_import: ["" : 22]>
            g (float[1,4] x) => (float[a,b] y) {{ z = Mul(x, w) {body} }}""",
            **WEIGHTS,
        )
    )
    to_half(graph, dtype)
    return graph


@pytest.mark.parametrize("place", BODIES)
def test_the_first_node_is_named_with_its_size(place):
    found = find_overflow(halved(BODIES[place], FP16), X)
    assert found.startswith(f"{place} overflows float16, which ends at 65504: it reaches ")
    assert "bfloat16" in found


@pytest.mark.parametrize("place", BODIES)
def test_bfloat16_holds_it(place):
    assert find_overflow(halved(BODIES[place], BF16), X) == ""


def test_an_infinity_that_is_meant_is_none():
    """As a mask has it."""
    assert find_overflow(halved("b = Less(x, w) c = Where(b, x, i) y = Relu(c)", FP16), X) == ""

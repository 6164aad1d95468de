"""The float32 graph that a conversion starts from has the layers that the conversion has."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.errors import InputError
from simam_deploy.graph.prepare import for_runtime, plain
from simam_deploy.precision import original
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.half.layers import layers
from simam_deploy.precision.original import keep_original
from tests.graph.onnx_text import model, ops, run
from tests.precision.half.graphs import BF16, FP16, draw

X = draw(1, 4, 9, 9)
BODIES = {
    "Identity": "k1 = Identity(k) k2 = Identity(k) a = Conv(x, w, k1) "
    "y = BatchNormalization(a, k2, k1, k2, v)",
    "Pad": "p = Pad(x, pads) a = Conv(p, w, k) y = Relu(a)",
    "Add": "a = Conv(x, w) b = Add(a, bias) y = Relu(b)",
    "Transpose": "u = Transpose<perm = [1, 0, 2, 3]>(w) a = Conv(x, u, k) y = Relu(a)",
    "Constant": "c = Constant<value = float[4] {1.0, 2.0, 3.0, 4.0}>() a = Conv(x, w, c) "
    "y = BatchNormalization(a, c, c, k, v)",
    "Gemm": "g = GlobalAveragePool(x) m = Flatten(g) a = MatMul(m, square) b = Add(a, row) "
    "y = Relu(b)",
}
WEIGHTS = {
    "w": draw(4, 4, 3, 3), "k": draw(4), "v": np.abs(draw(4)) + 0.5, "bias": draw(1, 4, 1, 1),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "square": draw(4, 4), "row": draw(4),
}  # fmt: skip


def network(form: str) -> ir.Model:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4,9,9] x) => (float[{"a,b" if form == "Gemm" else "a,b,c,d"}] y)
        {{ {BODIES[form]} }}"""
    return model(text, **{n: w for n, w in WEIGHTS.items() if n in BODIES[form]})


@pytest.mark.parametrize(
    ("form", "simplified"),
    [*((form, True) for form in BODIES), ("Identity", False), ("Constant", False)],
)
@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["fp16", "bf16"])
def test_a_conversion_has_its_layers(form, simplified, dtype, tmp_path):
    kept = keep_original(network(form), 17, "portable", tmp_path, simplified)
    half = kept.graph()
    half.opset_imports[""] = 22 if dtype == BF16 else 17
    to_half(half, dtype)
    candidate = for_runtime(half, half.opset_imports[""], simplified)
    expected = [(n.op_type, len(n.inputs)) for n in layers(kept.plain())]
    assert [(n.op_type, len(n.inputs)) for n in layers(plain(candidate))] == expected
    assert len(expected) == 1


@pytest.mark.parametrize("form", BODIES)
def test_it_computes_what_it_did(form, tmp_path):
    (expected,) = run(network(form), x=X)
    (y,) = run(keep_original(network(form), 17, "portable", tmp_path).graph(), x=X)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_it_stays_as_it_is_where_the_simplifier_fails(tmp_path, monkeypatch):
    def fails(*_):
        raise InputError("onnx-simplifier failed")

    monkeypatch.setattr(original, "simplify", fails)
    kept = keep_original(network("Pad"), 17, "portable", tmp_path)
    assert ops(kept.graph()) == ["Pad", "Conv", "Relu"]


def test_it_is_left_unsimplified_if_asked(tmp_path):
    kept = keep_original(network("Pad"), 17, "portable", tmp_path, simplified=False)
    assert ops(kept.graph()) == ["Pad", "Conv", "Relu"]

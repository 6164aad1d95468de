"""Layers in half, one by one: correct ones pass whatever their numbers, wrong ones do not."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.precision.half.half import to_half
from simam_deploy.verify.layers import check_layers, record_layers
from tests.graph.onnx_text import model
from tests.precision.half.graphs import BF16, FP16

RNG = np.random.default_rng(0)
X = {"x": RNG.standard_normal((2, 4, 9, 9)).astype(np.float32)}


def network(scale: float = 1.0) -> ir.Model:
    """Every kind of layer, in a row."""
    draw = lambda *shape: (scale * RNG.standard_normal(shape)).astype(np.float32)  # noqa: E731
    return model(
        """<ir_version: 10, opset_import: ["" : 22]>
        g (float[2,4,9,9] x) => (float[2,5] y)
        <int64[2] shape = {2, 648}, float[2,8,9,9] a, float[2,8,9,9] b, float[2,8,9,9] c,
         float[2,8,9,9] d, float[2,648] e, float[2,6] f> {
            [conv] a = Conv<pads = [1, 1, 1, 1]>(x, w1, k1)
            [norm] b = BatchNormalization(a, s, k2, m, v)
            [relu] c = Relu(b)
            [up] d = ConvTranspose<pads = [1, 1, 1, 1]>(c, w2)
            e = Reshape(d, shape)
            [dense] f = Gemm(e, w3, k3)
            [last] y = MatMul(f, w4)
        }""",
        w1=draw(8, 4, 3, 3), k1=draw(8), s=draw(8), k2=draw(8), m=draw(8), v=np.abs(draw(8)) + 0.5,
        w2=draw(8, 8, 3, 3), w3=draw(648, 6), k3=draw(6), w4=draw(6, 5),
    )  # fmt: skip


def checked(original: ir.Model, candidate: ir.Model, dtype: ir.DataType = FP16):
    recorded = record_layers(original.clone(), X)
    return {c.name: c for c in check_layers(recorded, original, candidate, dtype)}


def halved(original: ir.Model, dtype: ir.DataType = FP16) -> ir.Model:
    candidate = original.clone()
    to_half(candidate, dtype)
    return candidate


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4], ids=["normal", "small", "subnormal"])
@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["fp16", "bf16"])
def test_correct_layers_pass(dtype, scale):
    original = network(scale)
    found = checked(original, halved(original, dtype), dtype)
    assert list(found) == ["conv", "norm", "up", "dense", "last"]
    assert all(check.passed for check in found.values()), found
    # The rounding is there: on float32 layers the check would come to next to nothing.
    assert max(check.error_ulps for check in found.values()) > 0.05


def changed(name: str, change) -> tuple[ir.Model, ir.Model]:
    original = network()
    candidate = halved(original)
    value = candidate.graph.initializers[name]
    array = change(value.const_value.numpy().copy())
    value.const_value = ir.tensor(array, dtype=value.dtype, name=name)
    return original, candidate


def swapped(array: np.ndarray) -> np.ndarray:
    array[[0, 1]] = array[[1, 0]]
    return array


@pytest.mark.parametrize(
    ("weight", "layer"),
    [("w1", "conv"), ("k1", "conv"), ("s", "norm"), ("w2", "up"), ("w3", "dense"), ("w4", "last")],
)
@pytest.mark.parametrize("fault", [np.zeros_like, swapped], ids=["zeroed", "two swapped"])
def test_a_wrong_weight_is_the_layers_alone(weight, layer, fault):
    found = checked(*changed(weight, fault))
    assert [name for name, check in found.items() if not check.passed] == [layer]


def test_a_map_that_half_cannot_hold_is_named():
    original = network(200.0)
    found = checked(original, halved(original))
    broken = [check for check in found.values() if not check.passed]
    assert broken
    assert all("NaN or infinite" in check.reason for check in broken)


def test_a_missing_layer_fails_them_all():
    original = network()
    candidate = halved(original)
    node = next(n for n in candidate.graph if n.op_type == "BatchNormalization")
    node.outputs[0].replace_all_uses_with(node.inputs[0])
    candidate.graph.remove(node, safe=True)
    found = checked(original, candidate)
    assert not any(check.passed for check in found.values())
    assert "4 layers, 5 were expected" in found["conv"].reason

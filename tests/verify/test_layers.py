"""Layers in half, one by one: correct ones pass whatever their numbers, wrong ones do not."""

import re

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.file.typed import typed
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
    assert "it overflows float16, which ends at 65504: it reaches " in broken[0].reason
    assert "the map that it is given overflows float16" in broken[-1].reason
    assert not any("nan" in check.reason for check in broken)


def test_a_missing_layer_fails_them_all():
    original = network()
    candidate = halved(original)
    node = next(n for n in candidate.graph if n.op_type == "BatchNormalization")
    node.outputs[0].replace_all_uses_with(node.inputs[0])
    candidate.graph.remove(node, safe=True)
    found = checked(original, candidate)
    assert not any(check.passed for check in found.values())
    assert "4 layers, 5 were expected" in found["conv"].reason


FORMS = {
    "initializers": ("", "w", "k", "v", "k"),
    "Identity": ("k1 = Identity(k) k2 = Identity(k)", "w", "k1", "v", "k2"),
    "moved": ("w1 = Transpose<perm = [1, 0, 2, 3]>(wt) v1 = Reshape(flat, size)",
              "w1", "k", "v1", "k"),
    "Cast": ("w1 = Cast<to = 1>(wd)", "w1", "k", "v", "k"),
    "Constant": ("k1 = Constant<value = float[4] {0.25, 1.0, -2.0, 0.5}>()", "w", "k1", "v", "k1"),
    "computed": ("w1 = Mul(wn, g)", "w1", "k", "v", "k"),
}  # fmt: skip
"""What stands before the layers, and the weights that they read."""


def written(form: str) -> ir.Model:
    """One convolution and one classifier; what they compute is the same in each form."""
    draw = np.random.default_rng(1).standard_normal
    w, v = draw((4, 4, 3, 3)).astype(np.float32), draw((4, 4)).astype(np.float32)
    stored = {
        "w": w, "wt": w.transpose(1, 0, 2, 3).copy(), "wd": w.astype(np.float64), "wn": w / 2,
        "k": np.array([0.25, 1, -2, 0.5], np.float32), "v": v, "flat": v.ravel(),
        "g": np.array(2, np.float32), "size": np.array([4, 4]), "axes": np.array([2, 3]),
    }  # fmt: skip
    before, w1, k1, v1, k2 = FORMS[form]
    body = f"""{before} [conv] c = Conv(x, {w1}, {k1}) m = ReduceMean<keepdims = 0>(c, axes)
        [dense] y = Gemm(m, {v1}, {k2})"""
    read = set(re.findall(r"\w+", body))
    return model(
        f"""<ir_version: 10, opset_import: ["" : 22]>
        g (float[2,4,9,9] x) => (float[2,4] y) {{ {body} }}""",
        **{name: array for name, array in stored.items() if name in read},
    )


@pytest.mark.parametrize("ours", FORMS)
@pytest.mark.parametrize("theirs", FORMS)
@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["fp16", "bf16"])
def test_weights_are_counted_alike_whatever_leads_to_them(theirs, ours, dtype):
    original, candidate = typed(written(theirs)), typed(written(ours))
    to_half(candidate, dtype)
    found = checked(original, candidate, dtype)
    assert len(found) == 2
    assert all(check.passed for check in found.values()), found


@pytest.mark.parametrize("form", FORMS)
def test_a_wrong_weight_is_found_whatever_leads_to_it(form):
    original, candidate = typed(written(form)), typed(written(form))
    weight = next(n for n in ("wt", "wd", "wn", "w") if n in candidate.graph.initializers)
    value = candidate.graph.initializers[weight]
    value.const_value = ir.tensor(np.roll(value.const_value.numpy(), 1, axis=2), name=weight)
    to_half(candidate, FP16)
    passed = [check.passed for check in checked(original, candidate).values()]
    assert passed == [False, True]

"""Where pairs go, rule by rule."""

import pytest

from simam_deploy.precision.int8.placement import name_of, place
from tests.graph.onnx_text import model
from tests.precision.int8.networks import BLOCK, block, draw, weights

CONV = "Conv<pads = [1, 1, 1, 1]>"


def placed(text, **more):
    return place(model(text, **weights(**more)))


def reads(placement):
    return {(name_of(node), node.inputs[index].name) for node, index in placement.reads}


def test_first_and_last_stay_and_a_paired_summand_is_read_so():
    placement = placed(BLOCK)
    assert [n.name for n in placement.layers] == ["two", "three"]
    assert placement.kept == ("one (first layer)", "four (last layer)")
    assert reads(placement) == {("two", "r"), ("three", "s"), ("t", "r")}
    assert [t.name for t in placement.tensors] == ["r", "s"]


def test_of_two_layers_that_meet_one_summand_is_paired():
    placement = placed(
        block(
            f"""[one] a = {CONV}(x, w1)
            [main] c = {CONV}(a, w2)
            [side] d = {CONV}(a, w3)
            t = Add(c, d)
            [last] y = {CONV}(t, w4)"""
        )
    )
    assert reads(placement) == {("main", "a"), ("side", "a"), ("t", "d")}


@pytest.mark.parametrize("summand", ["Relu(a)", "Mul(a, w1)", "Identity(b)"])
def test_a_summand_without_a_pair_stays_float(summand):
    placement = placed(
        block(
            f"""[one] a = {CONV}(x, w1)
            e = {summand}
            [two] c = {CONV}(a, w2)
            t = Add(c, e)
            [last] y = {CONV}(t, w3)"""
        )
    )
    assert reads(placement) == {("two", "a")}


def test_a_layer_that_others_read_is_not_fused_with_its_add():
    placement = placed(
        block(
            f"""[one] a = {CONV}(x, w1)
            [two] c = {CONV}(a, w2)
            t = Add(c, a)
            u = Mul(t, c)
            [last] y = {CONV}(u, w3)"""
        )
    )
    assert reads(placement) == {("two", "a")}


def test_what_is_no_constant_2d_convolution_stays():
    placement = placed(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,4,9,9] x) => (float[n,9] y) <int64[3] flat = {{0, 4, -1}}> {{
            [one] a = {CONV}(x, w1)
            moving = Identity(w2)
            [drawn] c = {CONV}(a, moving)
            [up] d = ConvTranspose(c, w3)
            e = Reshape(d, flat)
            [thin] f = Conv(e, thin_w)
            h = ReduceMean<keepdims = 0>(f)
            [last] y = Gemm(h, square)
        }}""",
        thin_w=draw(0, 4, 4, 3),
        square=draw(0, 9, 9),
    )
    assert placement.layers == ()
    assert placement.kept == (
        "one (first layer)",
        "drawn (weights are no float32 constant)",
        "up (ConvTranspose, no convolution)",
        "thin (not 2-D)",
        "last (last layer)",
    )


def test_every_head_keeps_its_last_layer():
    placement = placed(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,4,9,9] x) => (float[n,4,9,9] y, float[n,4,9,9] z) {{
            [one] a = {CONV}(x, w1)
            [two] c = {CONV}(a, w2)
            [head] y = {CONV}(c, w3)
            [neck] d = {CONV}(c, w4)
            [other] z = {CONV}(d, w5)
        }}"""
    )
    assert [n.name for n in placement.layers] == ["two", "neck"]

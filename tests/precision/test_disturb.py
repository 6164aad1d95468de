"""A graph's rounding drawn anew: which values are disturbed, and which are not."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from simam_deploy import OnnxOptions, export_onnx
from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.disturb import disturb, draw_alike
from simam_deploy.runtime.graph_runner import run_graph
from tests.graph.onnx_text import model, run
from tests.precision.half.blocks import Apply, Gate
from tests.precision.half.graphs import BF16, FP16, draw
from tests.precision.half.test_clean_conversions import source

WEIGHTS = {
    "two": np.array(2),
    "one": np.array(1),
    "zero": np.array([0]),
    "lead": np.array([1, 4]),
    "w": draw(4, 4, 1, 1) / 2,
}


def graph() -> ir.Model:
    """A layer, a skip, and the arithmetic of sizes that an unsimplified export is full of."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4,8,8] x) => (float[a,b,c,d] y) {
            s = Shape(x) h = Gather(s, two) more = Add(h, one) less = Sub(more, one)
            last = Unsqueeze(less, zero) wide = Concat<axis = 0>(lead, last, last)
            c = Conv(x, w) a = Add(c, x) y = Reshape(a, wide)
        }"""
    return typed(model(text, **WEIGHTS))


@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["fp16", "bf16"])
def test_integers_are_left_alone(dtype):
    """ONNX Runtime refuses an Add of float and int64."""
    x = draw(1, 4, 8, 8)
    (exact,) = run(graph(), x=x)
    shaken = disturb(graph(), 0.0, dtype)
    assert [n.inputs[0].dtype for n in shaken.graph if n.op_type == "Add"] == [
        ir.DataType.INT64,
        ir.DataType.FLOAT,
    ]
    onnx.checker.check_model(ir.to_proto(shaken), full_check=True)
    off = np.abs(run(shaken, x=x)[0] - exact).max() / np.abs(exact).max()
    assert 2.0**-13 < off / (2.0**3 if dtype == BF16 else 1.0) < 2.0**-9


def test_maps_and_weights_are_rounded_once():
    shaken = disturb(graph(), 0.0, FP16)
    casts = [n for n in shaken.graph if n.op_type == "Cast"]
    down = [n.inputs[0].name for n in casts if n.attributes["to"].as_int() == FP16]
    assert down == ["w", "c/noisy", "a/noisy"]


@pytest.mark.parametrize("alike", [False, True])
def test_every_run_draws_anew_and_every_session_the_same(alike):
    x = draw(1, 4, 8, 8)
    drawn = []
    for _ in range(2):
        shaken = disturb(graph(), 2.0**-23)
        if alike:
            draw_alike(shaken)
        with run_graph(shaken) as runner:
            drawn.append([runner.run({"x": x})["y"] for _ in range(2)])
    (exact,) = run(graph(), x=x)
    assert not np.array_equal(drawn[0][0], drawn[0][1])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    off = np.abs(drawn[0][0] - exact).max() / np.abs(exact).max()
    assert 2.0**-24 < off < 2.0**-21


def test_equal_numbers_are_disturbed_alike_and_equal_channels_are_not():
    """On a blank frame what a channel is off by does not average out."""
    x, same = np.ones((1, 4, 8, 8), np.float32), graph()
    same.graph.initializers["w"].const_value = ir.tensor(np.full((4, 4, 1, 1), 0.25, np.float32))
    shaken = disturb(same.clone(), 2.0**-10)
    draw_alike(shaken)
    with run_graph(shaken) as runner:
        y = runner.run({"x": x})["y"]
    np.testing.assert_allclose(np.ptp(y, axis=(2, 3)), 0, atol=1e-6)
    assert np.diff(np.sort(y[0, :, 0, 0])).min() > 1e-5
    assert np.abs(y - run(same, x=x)[0]).max() > 1e-5


@pytest.mark.parametrize("opset", [22, 23])
def test_newer_opsets_draw_too(opset):
    """ONNX Runtime has random numbers up to opset 21."""
    x, newer = draw(1, 4, 8, 8), graph()
    newer.opset_imports[""] = opset
    with run_graph(disturb(newer, 2.0**-23)) as runner:
        first, second = (runner.run({"x": x})["y"] for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_an_unsimplified_export_with_arithmetic_of_sizes(precision, tmp_path):
    """A detector's head that computes its sizes: n + 1 cells, of integers, in nodes of Add."""

    def forward(self: Apply, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        n, c, h, w = y.shape
        sized = torch.nn.functional.interpolate(y, size=(h + h // 2, w + 1 + 3))
        return sized.reshape(n, c, (h + h // 2) * (w + 4)) + y.mean((2, 3))[..., None]

    torch.manual_seed(0)
    net = Apply(forward, body=torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2, 1), Gate())).eval()
    file = source(net, tmp_path, free=(2, 3))
    kinds = [n.op_type for n in onnx.load(file).graph.node]
    assert kinds.count("Add") > 3
    assert "Shape" in kinds
    onnx_options = OnnxOptions(precision=precision, simplify=False)
    artifact = export_onnx(file, tmp_path / "half.onnx", onnx=onnx_options)
    assert artifact.validation.passed


@pytest.mark.parametrize("half", [None, FP16], ids=["float32", "fp16"])
def test_the_row_that_an_index_lies_in_is_never_another(half):
    """Three quotients in ten are whole numbers, and a millionth less is the row before."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,90] x) => (int64[1,90] row) <float three = {3}, int64[1] k = {90}> {
            y, i = TopK(x, k) wide = Cast<to = 1>(i) q = Div(wide, three) f = Floor(q)
            row = Cast<to = 7>(f) }"""
    x = draw(1, 90)
    order = np.argsort(-x[0], kind="stable")
    with run_graph(disturb(typed(model(text)), 2.0**-10, half)) as runner:
        np.testing.assert_array_equal(runner.run({"x": x})["row"], [order // 3])

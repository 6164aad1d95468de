import numpy as np
import pytest

from simam_deploy.graph.passes.fold_bn import fold_bn
from tests.graph.onnx_text import model, ops, run

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1, 4, 9, 9)).astype(np.float32)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def graph_of(body: str, outputs: str = "", group: int = 1, channels: int = 4):
    """`body` may use BN constants s, o, m, v, a 3x3 weight w of six filters, and a bias c."""
    return model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,4,9,9] x) => (float[1,6,a,b] y{outputs}) {{ {body} }}""",
        s=draw(channels),
        o=draw(channels),
        m=draw(channels),
        v=np.abs(draw(channels)) + 0.5,
        w=draw(6, 4 // group, 3, 3),
        c=draw(6),
    )


def behind(conv: str = "", reads: str = "w, c", outputs: str = "", **options):
    body = f"t = Conv{conv}(x, {reads}) y = BatchNormalization<epsilon = 0.01>(t, s, o, m, v)"
    return graph_of(body, outputs, channels=6, **options)


def in_front(conv: str = "", reads: str = "w, c", outputs: str = "", **options):
    body = f"t = BatchNormalization<epsilon = 0.01>(x, s, o, m, v) y = Conv{conv}(t, {reads})"
    return graph_of(body, outputs, **options)


@pytest.mark.parametrize(
    "graph",
    [
        behind(),
        behind(reads="w"),
        behind("<pads = [1, 1, 1, 1], strides = [2, 2]>"),
        behind("<group = 2>", group=2),
        in_front(),
        in_front(reads="w"),
        in_front("<strides = [2, 2]>"),
        in_front('<auto_pad = "VALID">'),
    ],
    ids=["behind", "no bias", "padded", "grouped", "front", "no bias", "strided", "valid"],
)
def test_folds_and_computes_the_same(graph):
    before = run(graph, x=X)[0]
    assert fold_bn(graph) == 1
    assert ops(graph) == ["Conv"]
    assert [v.name for v in graph.graph.outputs] == ["y"]
    np.testing.assert_allclose(run(graph, x=X)[0], before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "graph",
    [
        behind(outputs=", float[1,6,7,7] t"),
        in_front("<pads = [1, 1, 1, 1]>"),
        in_front('<auto_pad = "SAME_UPPER">'),
        in_front("<group = 2>", group=2),
        in_front(outputs=", float[1,4,9,9] t"),
        graph_of("d = Relu(w) t = Conv(x, d) y = BatchNormalization(t, s, o, m, v)", channels=6),
        graph_of("t = Conv(x, w) r = Relu(t) y = BatchNormalization(r, s, o, m, v)", channels=6),
    ],
    ids=["output t", "padded", "same", "grouped", "output BN", "computed weight", "ReLU between"],
)
def test_leaves_alone_what_would_change(graph):
    before = ops(graph)
    assert fold_bn(graph) == 0
    assert ops(graph) == before


def test_only_one_of_two_readers_forbids_it():
    graph = graph_of(
        "t = Conv(x, w, c) b = BatchNormalization(t, s, o, m, v) y = Add(t, b)", channels=6
    )
    assert fold_bn(graph) == 0


def test_convolutions_that_share_a_weight_each_get_their_own():
    graph = graph_of(
        """t = Conv(x, w) a = BatchNormalization(t, s, o, m, v)
        u = Conv(x, w) b = BatchNormalization(u, o, s, m, v) y = Add(a, b)""",
        channels=6,
    )
    before = run(graph, x=X)[0]
    assert fold_bn(graph) == 2
    np.testing.assert_allclose(run(graph, x=X)[0], before, rtol=1e-5, atol=1e-5)


def test_weights_in_constant_nodes_count_as_constant():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,1,2,2] x) => (float[1,1,2,2] y) {
            w = Constant<value = float[1,1,1,1] {2}>()
            p = Constant<value = float[1] {3}>()
            t = Conv(x, w)
            y = BatchNormalization<epsilon = 0.0>(t, p, p, p, p)
        }"""
    )
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    before = run(graph, x=x)[0]
    assert fold_bn(graph) == 1
    np.testing.assert_allclose(run(graph, x=x)[0], before, rtol=1e-6, atol=1e-6)

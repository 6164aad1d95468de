import numpy as np
import pytest

from simam_deploy.graph.fold_bn import fold_bn_forward
from tests.graph.onnx_text import model, ops, run

RNG = np.random.default_rng(0)


def bn_then_conv(conv: str, extra_output: str = "", group: int = 1):
    """BN with drawn statistics, then a Conv of six filters 3x3 with the attributes `conv`."""
    draw = lambda *shape: RNG.standard_normal(shape).astype(np.float32)  # noqa: E731
    return model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,4,9,9] x) => (float[1,6,a,b] y{extra_output}) {{
            n = BatchNormalization(x, s, o, m, v)
            y = Conv<group = {group} {conv}>(n, w, c)
        }}""",
        s=draw(4),
        o=draw(4),
        m=draw(4),
        v=np.abs(draw(4)) + 0.5,
        w=draw(6, 4 // group, 3, 3),
        c=draw(6),
    )


def test_folds_and_computes_the_same():
    graph = bn_then_conv("")
    x = RNG.standard_normal((1, 4, 9, 9)).astype(np.float32)
    before = run(graph, x=x)[0]
    assert fold_bn_forward(graph) == 1
    assert ops(graph) == ["Conv"]
    np.testing.assert_allclose(run(graph, x=x)[0], before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "graph",
    [
        bn_then_conv(", pads = [1, 1, 1, 1]"),
        bn_then_conv(', auto_pad = "SAME_UPPER"'),
        bn_then_conv("", group=2),
        bn_then_conv("", extra_output=", float[1,4,9,9] n"),
    ],
    ids=["padded", "auto-padded", "grouped", "BN is an output"],
)
def test_leaves_alone_what_would_change(graph):
    assert fold_bn_forward(graph) == 0
    assert ops(graph) == ["BatchNormalization", "Conv"]

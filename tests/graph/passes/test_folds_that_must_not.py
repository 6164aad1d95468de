"""Folds that would be wrong by a detail: a lone pad, statistics that are computed, training."""

import numpy as np
import pytest

from simam_deploy.graph.passes.fold_bn import fold_bn
from simam_deploy.graph.passes.fuse_epilogue import fuse_epilogue
from tests.graph.onnx_text import model, ops

STATISTICS = dict.fromkeys("somv", np.ones(4, np.float32))


def graph_of(body, opset=18, outputs=""):
    return model(
        f"""<ir_version: 8, opset_import: ["" : {opset}, "simam" : 1]>
        g (float[1,4,9,9] x, float[4] t) => (float[1,4,a,b] y{outputs}) {{ {body} }}""",
        w=np.ones((4, 4, 3, 3), np.float32),
        **STATISTICS,
    )


@pytest.mark.parametrize(
    "body",
    [
        "b = BatchNormalization(x, s, o, m, v) y = Conv<pads = [0, 0, 1, 0]>(b, w)",
        "b = BatchNormalization(x, t, o, m, v) y = Conv(b, w)",
        "c = Conv(x, w) y = BatchNormalization(c, s, o, t, v)",
    ],
    ids=["one side is padded", "scale is an input", "mean is an input"],
)
def test_a_norm_that_must_stay_beside_its_convolution(body):
    graph = graph_of(body)
    before = ops(graph)
    assert fold_bn(graph) == 0
    assert ops(graph) == before


def test_a_norm_in_training_as_old_opsets_write_it():
    """Five outputs say so up to opset 13; the mode is an attribute since 14 alone."""
    graph = graph_of(
        "a = simam.SimAM<e_lambda = 0.1>(x) y, m2, v2, m3, v3 = BatchNormalization(a, s, o, m, v)",
        opset=11,
    )
    assert fuse_epilogue(graph) == 0
    assert ops(graph) == ["SimAM", "BatchNormalization"]

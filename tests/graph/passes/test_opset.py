import numpy as np
import pytest

from simam_deploy.errors import UsageError
from simam_deploy.graph.passes.opset import lower_opset
from tests.graph.onnx_text import model, ops, run

X = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)


def graph_of(body: str, constants: str = "", output: str = "float[a,b,c,d] y"):
    return model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[2,3,4,5] x) => ({output}) {constants} {{ {body} }}"""
    )


@pytest.mark.parametrize("opset", [13, 14, 15, 17])
@pytest.mark.parametrize(
    ("body", "constants", "output"),
    [
        ("y = ReduceMean<keepdims = 1>(x, axes)", "<int64[2] axes = {2, 3}>", "float[a,b,c,d] y"),
        ("y = ReduceMax<noop_with_empty_axes = 0>(x)", "", "float[a,b,c,d] y"),
        ("y = Shape<start = 2>(x)", "", "int64[a] y"),
        ("y = Shape<start = 1, end = -1>(x)", "", "int64[a] y"),
        ("y = Reshape<allowzero = 1>(x, s)", "<int64[2] s = {6, -1}>", "float[a,b] y"),
        ("y = Relu(x)", "", "float[a,b,c,d] y"),
    ],
    ids=["axes", "no axes", "Shape from", "Shape from to", "allowzero", "unchanged"],
)
def test_computes_the_same_in_an_older_opset(opset, body, constants, output):
    before = run(graph_of(body, constants, output), x=X)[0]
    graph = graph_of(body, constants, output)
    lower_opset(graph, opset)
    assert graph.opset_imports[""] == opset
    np.testing.assert_array_equal(run(graph, x=X)[0], before)


@pytest.mark.parametrize(
    ("body", "constants", "names"),
    [
        ("y = CastLike(x, x)", "", "CastLike"),
        ("y = Reshape<allowzero = 1>(x, s)", "<int64[2] s = {0, 5}>", "allowzero"),
        ("s = Shape(x) y = ReduceMean(x, s)", "", "computed axes"),
    ],
)
def test_refuses_what_the_older_opset_cannot_say(body, constants, names):
    with pytest.raises(UsageError, match=names):
        lower_opset(graph_of(body, constants), 13)


def test_a_newer_opset_is_left_alone():
    graph = graph_of("y = Relu(x)")
    assert lower_opset(graph, 20) == 0
    assert graph.opset_imports[""] == 18
    assert ops(graph) == ["Relu"]

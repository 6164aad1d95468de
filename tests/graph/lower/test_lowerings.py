"""What holds for every lowering: it computes SimAM, at every size, dtype and opset it takes."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy.errors import UsageError
from simam_deploy.graph.lower import LOWERINGS, WITH_FUNCTIONS, choose_lowering
from simam_deploy.graph.prepare import with_sites
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op.contract import (
    ACTIVATIONS,
    CLIP_ATTRIBUTES,
    epilogue_reference,
    simam_reference,
)
from tests.graph.onnx_text import EPILOGUE, epilogue_model, model, ops, run, simam_model

X = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype(np.float32)
NAMES = list(LOWERINGS)
PLAIN = [name for name in NAMES if name not in WITH_FUNCTIONS]
ALWAYS_FLOAT32 = (*WITH_FUNCTIONS, "instancenorm")
"""A function's body is in float32 by the contract, and so is InstanceNormalization's scale."""
ANY_SIZE = [name for name in NAMES if name != "instancenorm"]
SIZED = [(n, s) for n in NAMES for s in ("2,3,5,7", "n,3,h,w") if n in ANY_SIZE or "h" not in s]
HALF_ULP = {"float16": 2**-11, "bfloat16": 2**-8}


def draw(shape, mean=0.0, std=1.0):
    drawn = np.random.default_rng(1).standard_normal(shape)
    return (mean + std * drawn).astype(np.float32)


@pytest.mark.parametrize("shape", ["2,3,5,7", "n,3,5,7"])
@pytest.mark.parametrize("opset", [18, 20, 23])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_reference(name, opset, shape):
    graph = simam_model(shape, opset)
    assert LOWERINGS[name](graph) == 1
    np.testing.assert_allclose(run(graph, x=X)[0], simam_reference(X, 0.1), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("shape", ["2,3,h,w", "n,3,h,7", "n,c,h,w"])
@pytest.mark.parametrize("name", ANY_SIZE)
def test_any_size_is_taken_as_it_comes(name, shape):
    graph = simam_model(shape)
    LOWERINGS[name](graph)
    for height in (1, 5, 64) if "h,w" in shape else (1, 5):
        x = draw((2, 3, height, 7))
        np.testing.assert_allclose(run(graph, x=x)[0], simam_reference(x, 0.1), rtol=2e-6)


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize(("name", "shape"), [case for case in SIZED if case[0] in PLAIN])
def test_older_opsets(name, shape, opset):
    graph = simam_model(shape, opset)
    LOWERINGS[name](graph)
    np.testing.assert_allclose(run(graph, x=X)[0], simam_reference(X, 0.1), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("e_lambda", [1e-4, 0.1, 4.0])
@pytest.mark.parametrize("size", [(1, 2), (2, 1), (1, 333), (7, 7), (56, 56), (112, 112)])
@pytest.mark.parametrize("name", NAMES)
def test_every_lambda_and_size_counts(name, size, e_lambda):
    x = draw((1, 2, *size), std=0.1)
    graph = simam_model(f"1,2,{size[0]},{size[1]}", e_lambda=e_lambda)
    LOWERINGS[name](graph)
    np.testing.assert_allclose(run(graph, x=x)[0], simam_reference(x, e_lambda), rtol=2e-6)


@pytest.mark.parametrize("ratio", [10, 100, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_a_large_mean_costs_nothing(name, ratio):
    """A mean off by half a unit in its last place moves y by 3e-5 at a mean of 1000 std.

    The published order is off by 5e-7, 5e-6 and 3e-5 here; E[x^2] - E[x]^2 by 0.1.
    """
    x = draw((1, 4, 56, 56), mean=ratio)
    graph = simam_model("1,4,56,56", e_lambda=1e-4)
    LOWERINGS[name](graph)
    np.testing.assert_allclose(run(graph, x=x)[0], simam_reference(x, 1e-4), rtol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_constant_planes(name):
    x = np.full((1, 3, 14, 14), 3.7, np.float32)
    graph = simam_model("1,3,14,14", e_lambda=1e-4)
    LOWERINGS[name](graph)
    np.testing.assert_allclose(run(graph, x=x)[0], simam_reference(x, 1e-4), rtol=2e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("name", "shape"), SIZED)
def test_half_precision_costs_one_rounding_of_the_result(name, dtype, shape):
    """At std 5 the sum of squares, 78400, is infinite in float16 and every gate 0.6225."""
    x = draw((2, 3, 56, 56), std=5.0)
    graph = simam_model(shape.replace("5,7", "56,56"), dtype=dtype)
    LOWERINGS[name](graph)
    rounded = run(model_of_casts(dtype), x=x)[0]
    expected = simam_reference(rounded, 0.1)
    error = np.abs(run(graph, x=x)[0] / expected - 1).max()
    assert error <= HALF_ULP[dtype] * 1.01


def model_of_casts(dtype):
    code = {"float16": 10, "bfloat16": 16}[dtype]
    return model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,c,h,w] x) => (float[n,c,h,w] y) {{
            a = Cast<to = {code}>(x)
            y = Cast<to = 1>(a)
        }}"""
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", PLAIN)
def test_nothing_is_computed_in_half_precision(name, dtype):
    """By type, since ONNX Runtime's CPU provider computes a half graph in float32 and hides it."""
    graph = simam_model("2,3,5,7", dtype=dtype)
    LOWERINGS[name](graph)
    inferred = ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(graph)))
    half = ir.DataType[dtype.upper()]
    emitted = [n for n in inferred.graph if (n.name or "").startswith("site/")]
    casts = [n for n in emitted if n.op_type == "Cast"]
    assert [n.outputs[0].dtype for n in casts] == [ir.DataType.FLOAT, half]
    assert emitted[-1] is casts[-1]
    assert all(n.outputs[0].dtype != half for n in emitted[:-1])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ALWAYS_FLOAT32])
def test_float64_stays_float64(name):
    x = draw((2, 3, 5, 7)).astype(np.float64)
    graph = simam_model("2,3,5,7", e_lambda=0.125, dtype="double")
    graph.graph.inputs[0].type = graph.graph.outputs[0].type = ir.TensorType(ir.DataType.DOUBLE)
    graph.graph.node(-1).attributes["to"] = ir.AttrInt64("to", ir.DataType.DOUBLE)
    LOWERINGS[name](graph)
    assert "Cast" not in [n.op_type for n in graph.graph if (n.name or "").startswith("site/")]
    np.testing.assert_allclose(run(graph, x=x)[0], simam_reference(x, 0.125), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float", "float16"])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_fused_node_is_lowered_whole(name, residual, activation, dtype):
    graph = epilogue_model("2,3,5,7", residual, activation, dtype=dtype)
    assert LOWERINGS[name](graph) == 1
    if dtype == "float":
        assert "Cast" not in [n.op_type for n in graph.graph]
    x = X if dtype == "float" else X.astype(np.float16).astype(np.float32)
    skip = 2 * x if residual else None
    bounds = dict(zip(CLIP_ATTRIBUTES, ACTIVATIONS[activation], strict=True))
    expected = epilogue_reference(x, residual=skip, **EPILOGUE, **bounds)
    tight = {"rtol": 2e-6, "atol": 5e-7} if dtype == "float" else {"rtol": 5e-4, "atol": 1e-7}
    np.testing.assert_allclose(run(graph, x=x)[0], expected, **tight)


@pytest.mark.parametrize("name", NAMES)
def test_sites_in_a_row_and_as_first_and_last_op(name):
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[2,3,5,7] x) => (float[2,3,5,7] a, float[2,3,5,7] b)
            <float[2,3,5,7] a, float[2,3,5,7] b>
        {
            a = simam.SimAM<e_lambda = 0.1>(x)
            b = simam.SimAM<e_lambda = 0.2>(a)
        }"""
    )
    assert LOWERINGS[name](graph) == 2
    first = simam_reference(X, 0.1)
    for got, expected in zip(run(graph, x=X), (first, simam_reference(first, 0.2)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float", "float16", "bfloat16"])
@pytest.mark.parametrize("opset", [13, 18, 23])
@pytest.mark.parametrize("shape", ["2,3,5,7", "n,3,5,7", "n,3,112,113", "n,3,h,w"])
@pytest.mark.parametrize("name", PLAIN)
def test_what_is_written_is_recognised(name, shape, opset, dtype):
    if name not in ANY_SIZE and "h" in shape:
        shape = "n,3,112,112"
    graph = simam_model(shape, opset, e_lambda=1e-4, dtype=dtype)
    LOWERINGS[name](graph)
    graph, found = with_sites(graph)
    assert [(site.e_lambda, site.gate_only) for site in found.sites] == [(1e-4, False)]
    assert not found.near_misses
    around = ["Identity"] if dtype == "float" else ["Cast", "Cast"]
    assert sorted(ops(graph)) == sorted(["SimAM", *around])


@pytest.mark.parametrize("first", WITH_FUNCTIONS)
@pytest.mark.parametrize("name", PLAIN)
def test_a_file_with_functions_can_be_lowered_again(name, first):
    graph = epilogue_model("2,3,5,7", True, "relu")
    LOWERINGS[first](graph)
    again = ir.from_proto(ir.to_proto(graph))
    assert LOWERINGS[name](again) == 1
    assert simam_nodes(again) == []
    assert not again.functions
    assert "simam" not in again.opset_imports
    np.testing.assert_allclose(run(again, x=X)[0], run(graph, x=X)[0], rtol=2e-6, atol=5e-7)


def test_auto_is_what_every_runtime_takes():
    assert choose_lowering("auto", 13) == "portable"


@pytest.mark.parametrize(
    ("name", "opset", "says"),
    [
        ("fast", 18, "got 'fast'"),
        ("function", 17, "function wants opset 18 or newer"),
        ("plugin", 13, "plugin wants opset 18 or newer"),
    ],
)
def test_an_impossible_choice_is_refused_before_any_work(name, opset, says):
    with pytest.raises(UsageError, match=says):
        choose_lowering(name, opset)

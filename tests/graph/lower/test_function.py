import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy.errors import UsageError
from simam_deploy.graph.lower.flat import lower_flat
from simam_deploy.graph.lower.function import body, lower_function
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.graph.passes.opset import lower_opset
from simam_deploy.graph.passes.simplify import simplify
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op import contract
from tests.graph.onnx_text import epilogue_model, model, ops, run, simam_model

X = np.random.default_rng(0).standard_normal((2, 3, 9, 7)).astype(np.float32)


def lowered(graph):
    lower_function(graph)
    return graph


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("opset", [18, 20, 23])
@pytest.mark.parametrize("op_type", list(contract.INPUTS))
def test_the_body_is_a_valid_function(op_type, opset, small):
    proto = ir.serde.serialize_function(body(op_type, opset, small))
    assert (proto.domain, proto.name) == ("simam", op_type)
    assert tuple(proto.input) == contract.INPUTS[op_type]
    assert tuple(proto.attribute) == contract.ATTRIBUTES[op_type]
    assert not proto.attribute_proto
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", opset)]


@pytest.mark.parametrize("dtype", ["float", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", ["2,3,9,7", "n,3,9,7", "n,3,h,w"])
@pytest.mark.parametrize("residual", [None, False, True])
def test_strict_shape_inference_sees_through_it(residual, shape, dtype):
    if residual is None:
        graph = lowered(simam_model(shape, dtype=dtype))
    else:
        graph = lowered(epilogue_model(shape, residual, "relu", dtype=dtype))
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    output = simam_nodes(graph)[0].outputs[0].name
    del proto.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(proto, True, True, True)
    (info,) = [v for v in inferred.graph.value_info if v.name == output]
    assert ir.DataType(info.type.tensor_type.elem_type).name == dtype.upper()
    sizes = [d.dim_value for d in info.type.tensor_type.shape.dim]
    assert sizes == [int(d) if d.isdigit() else 0 for d in shape.split(",")]


@pytest.mark.parametrize(
    ("shape", "flattens"), [("n,3,112,112", 1), ("n,3,112,113", 0), ("n,3,112,w", 0)]
)
def test_the_body_is_flat_where_every_plane_is_known_to_be_small(shape, flattens):
    (function,) = lowered(simam_model(shape)).functions.values()
    assert [n.op_type for n in function].count("Flatten") == flattens


def test_one_large_plane_makes_the_body_of_all():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[1,3,200,200] x) => (float[1,3,100,100] y) <float[1,3,100,100] b> {
            a = simam.SimAM<e_lambda = 0.1>(x)
            b = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
            c = simam.SimAM<e_lambda = 0.1>(b)
            y = Sigmoid(c)
        }"""
    )
    (function,) = lowered(graph).functions.values()
    assert "Flatten" not in [n.op_type for n in function]


@pytest.mark.parametrize("shape", ["2,3,9,7", "n,3,h,w"])
def test_it_computes_what_the_plain_lowerings_do(shape):
    by_function = run(lowered(simam_model(shape)), x=X)[0]
    flat, portable = simam_model(shape), simam_model(shape)
    lower_flat(flat)
    lower_portable(portable)
    if shape == "n,3,h,w":
        np.testing.assert_array_equal(by_function, run(flat, x=X)[0])
    np.testing.assert_allclose(by_function, run(flat, x=X)[0], rtol=3e-7)
    np.testing.assert_allclose(by_function, run(portable, x=X)[0], rtol=1e-6)


def test_each_kind_of_node_brings_its_body_and_no_other():
    graph = lowered(simam_model("2,3,9,7"))
    assert list(graph.functions) == [("simam", "SimAM", "")]
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[2,3,9,7] x) => (float[2,3,9,7] y) <float[2,3,9,7] a> {
            a = simam.SimAM<e_lambda = 0.1>(x)
            b = Relu(a)
            c = simam.SimAM<e_lambda = 0.1>(b)
            y = Sigmoid(c)
        }"""
    )
    graph.graph.node(0).inputs[0].shape = ir.Shape([2, 3, 9, 7])
    assert lower_function(graph) == 2
    assert {name for _, name, _ in graph.functions} == {"SimAM", "SimAMEpilogue"}
    assert graph.opset_imports["simam"] == 1


def test_a_graph_without_simam_stays_free_of_the_domain():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[2] x) => (float[2] y) { y = Relu(x) }"""
    )
    assert lower_function(graph) == 0
    assert not graph.functions
    assert "simam" not in graph.opset_imports


def test_it_has_no_form_below_opset_18():
    with pytest.raises(UsageError, match="opset 18 or newer, got 17"):
        lower_function(simam_model("2,3,9,7", opset=17))


def test_the_opset_is_not_lowered_under_a_body():
    with pytest.raises(UsageError, match=r"opset 13 cannot hold the function simam::SimAM"):
        lower_opset(lowered(simam_model("2,3,9,7")), 13)


def test_a_newer_opset_gets_a_body_of_that_opset():
    graph = lowered(simam_model("2,3,9,7", opset=23))
    (function,) = graph.functions.values()
    assert function.opset_imports[""] == 23


@pytest.mark.parametrize("shape", ["2,3,9,7", "n,3,h,w"])
def test_simplifying_keeps_nodes_and_bodies(shape):
    graph = lowered(epilogue_model(shape, True, "relu"))
    before = run(graph, x=X)[0]
    simplified = simplify(graph)
    tidy(simplified)
    assert ops(simplified).count("SimAMResidualEpilogue") == 1
    assert list(simplified.functions) == [("simam", "SimAMResidualEpilogue", "")]
    np.testing.assert_array_equal(run(simplified, x=X)[0], before)

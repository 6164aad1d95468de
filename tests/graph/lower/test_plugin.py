import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy.errors import UsageError
from simam_deploy.graph.lower.function import lower_function
from simam_deploy.graph.lower.plugin import lower_plugin
from simam_deploy.graph.prepare import for_runtime
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op.contract import ATTRIBUTES, INPUTS
from tests.graph.onnx_text import epilogue_model, run, simam_model

X = np.random.default_rng(0).standard_normal((2, 3, 9, 7)).astype(np.float32)


def graph_of(op_type, shape="2,3,9,7", dtype="float"):
    if op_type == "SimAM":
        return simam_model(shape, dtype=dtype)
    return epilogue_model(shape, op_type == "SimAMResidualEpilogue", "relu", dtype=dtype)


def lowered(graph):
    assert lower_plugin(graph) == 1
    return graph


@pytest.mark.parametrize("op_type", list(INPUTS))
def test_the_node_names_its_plugin_and_keeps_its_contract(op_type):
    (node,) = simam_nodes(lowered(graph_of(op_type)))
    assert (node.domain, node.op_type, len(node.inputs)) == ("simam", op_type, len(INPUTS[op_type]))
    assert set(node.attributes) == {*ATTRIBUTES[op_type], "plugin_namespace", "plugin_version"}
    assert node.attributes["plugin_namespace"].as_string() == "simam"
    assert node.attributes["plugin_version"].as_string() == "1"


@pytest.mark.parametrize("dtype", ["float", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", ["2,3,9,7", "n,3,h,w"])
@pytest.mark.parametrize("op_type", list(INPUTS))
def test_the_body_is_inside_and_the_checker_content(op_type, shape, dtype):
    proto = ir.to_proto(lowered(graph_of(op_type, shape, dtype)))
    assert [(f.domain, f.name) for f in proto.functions] == [("simam", op_type)]
    onnx.checker.check_model(proto, full_check=True)


@pytest.mark.parametrize("dtype", ["float", "float16"])
@pytest.mark.parametrize("op_type", list(INPUTS))
def test_onnx_runtime_computes_what_it_does_without_the_names(op_type, dtype):
    plain = graph_of(op_type, dtype=dtype)
    lower_function(plain)
    (expected,), (found,) = run(plain, x=X), run(lowered(graph_of(op_type, dtype=dtype)), x=X)
    np.testing.assert_array_equal(found, expected)
    assert np.ptp(found) > 1


def test_the_epilogue_is_fused_and_simplifying_keeps_the_names():
    graph = for_runtime(epilogue_model("2,3,9,7", True, "relu6"), 18, True, "plugin")
    (node,) = simam_nodes(graph)
    assert node.op_type == "SimAMResidualEpilogue"
    assert node.attributes["plugin_namespace"].as_string() == "simam"


def test_lowered_to_functions_again_it_wants_no_plugin():
    graph = ir.from_proto(ir.to_proto(lowered(graph_of("SimAM"))))
    lower_function(graph)
    assert set(simam_nodes(graph)[0].attributes) == {"e_lambda"}


def test_it_has_no_form_below_opset_18():
    with pytest.raises(UsageError, match="opset 18 or newer, got 17"):
        lower_plugin(simam_model("2,3,9,7", opset=17))

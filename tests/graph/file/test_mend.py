"""What is put right in a message, and what is left to be refused."""

import numpy as np
import onnx
import pytest
from onnx import helper, parser

from simam_deploy import InputError
from simam_deploy.graph.file.mend import mend
from simam_deploy.graph.file.read import mended, read_model, stated_ir_version
from tests.source import others


def names(nodes) -> list[str]:
    return [node.output[0] for node in nodes]


def graph(body: str, more: str = "") -> onnx.ModelProto:
    return parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18, "own" : 1]>
        g (float[n] x) => (float[n] y) {{ {body} }} {more}"""
    )


def test_a_sound_message_stays_as_it_is():
    for model in (others.network(), others.branching()):
        before = model.SerializeToString(deterministic=True)
        assert mend(model) == ()
        assert model.SerializeToString(deterministic=True) == before


def test_nodes_are_sorted_and_those_in_order_keep_theirs():
    model = graph("y = Add(c, d) a = Relu(x) d = Abs(a) c = Neg(a)")
    assert mend(model) == ("nodes that stood before what they read, sorted: 1",)
    assert names(model.graph.node) == ["a", "d", "c", "y"]


def test_branches_and_functions_are_sorted_by_what_they_take_from_outside_too():
    model = others.branching(backwards=True)
    model.functions.extend(
        graph("y = own.F(x)", '<domain: "own", opset_import: ["" : 18]> F (u) => (v) {'
              "v = Neg(w) w = Abs(u) }").functions
    )  # fmt: skip
    mend(model)
    assert model.graph.node[-1].op_type == "If"
    branches = [names(attribute.g.node) for attribute in model.graph.node[-1].attribute]
    assert sorted(branches) == [["Add_a", "Add_y"], ["Sub_a", "Sub_y"]]
    assert names(model.functions[0].node) == ["w", "v"]


def branch(inner: str, reads: str) -> onnx.GraphProto:
    """Relu of what is outside, by way of a value of its own."""
    value = helper.make_tensor_value_info(f"{inner}_y", onnx.TensorProto.FLOAT, None)
    nodes = [("Relu", [reads], [inner]), ("Abs", [inner], [f"{inner}_y"])]
    return helper.make_graph([helper.make_node(*node) for node in nodes], inner, [], [value])


def test_a_node_comes_behind_what_its_branches_read():
    model = graph("yes = Cast<to = 9>(x) y = Neg(b) a = Relu(x)")
    both = {f"{name}_branch": branch(name, "a") for name in ("then", "else")}
    model.graph.node.insert(1, helper.make_node("If", ["yes"], ["b"], **both))
    assert mend(model)
    assert names(model.graph.node) == ["yes", "a", "b", "y"]


def test_a_branchs_own_value_is_not_the_one_of_that_name_outside():
    """Which is made of the If's, and later: no circle."""
    model = graph("y = Neg(then) then = Neg(b) yes = Cast<to = 9>(x)")
    both = {f"{name}_branch": branch(name, "x") for name in ("then", "else")}
    model.graph.node.append(helper.make_node("If", ["yes"], ["b"], **both))
    assert mend(model)
    assert names(model.graph.node) == ["yes", "b", "then", "y"]


@pytest.mark.parametrize("body", ["y = Relu(a) a = Relu(y)", "y = Add(x, y)"])
def test_circles_are_refused(body, tmp_path):
    (tmp_path / "m.onnx").write_bytes(graph(body).SerializeToString())
    with pytest.raises(InputError, match="topologically sorted"):
        read_model(tmp_path / "m.onnx")


def test_initializers_of_ir_3_are_no_inputs_and_the_version_is_told(tmp_path):
    (tmp_path / "m.onnx").write_bytes(others.ir3().SerializeToString())
    model = read_model(tmp_path / "m.onnx")
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert (model.ir_version, stated_ir_version(model), mended(model)) == (4, 3, ())


def test_an_input_with_a_default_stays_one_from_ir_4_on(tmp_path):
    model = others.ir3()
    model.ir_version = 4
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert len(read_model(tmp_path / "m.onnx").graph.inputs) > 1


def test_negative_sizes_of_inputs_have_names_and_others_are_open():
    model = others.negative(0, 2, 3)
    assert mend(model) == ("sizes below 1, taken as free ones: 4",)
    ins, outs = (v[0].type.tensor_type.shape.dim for v in (model.graph.input, model.graph.output))
    assert [d.dim_param or d.dim_value for d in ins] == ["batch", 3, "x_2", "x_3"]
    assert not outs[0].WhichOneof("value")


def test_an_input_of_no_rows_has_a_free_batch_and_an_empty_tensor_stays():
    model = graph("y = Relu(x)")
    empty = onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [0])
    model.graph.value_info.append(empty)
    assert mend(model) == ()
    assert model.graph.value_info[0] == empty
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 0
    assert mend(model) == ("sizes below 1, taken as free ones: 3",)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_names_are_numbered_past_those_that_are_there():
    model = graph("[n] a = Relu(x) [n] b = Relu(a) [n_1] c = Relu(b) [n] y = Relu(c)")
    mend(model)
    assert [node.name for node in model.graph.node] == ["n", "n_2", "n_1", "n_3"]


@pytest.mark.parametrize("size", [2**40, 2**31 + 1])
@pytest.mark.parametrize("where", ["input", "inside"])
def test_sizes_that_no_machine_has(size, where, tmp_path, capsys):
    from simam_deploy.cli.export import main

    model = others.network()
    if where == "input":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = size
    else:
        to = onnx.numpy_helper.from_array(np.array([size, 1, 1, 1]), "to")
        model.graph.initializer.append(to)
        model.graph.node.append(helper.make_node("Expand", ["z", "to"], ["grown"]))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert main([str(tmp_path / "m.onnx"), "-q", "-o", str(tmp_path / "out.onnx")]) == 1
    said = capsys.readouterr().err
    assert "more than 2147483648" in said
    assert said.count("\n") == 1

"""Files in plain ops get their nodes back, and others none."""

from importlib.metadata import version

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.detect import LOOPS, ROUTED, STANDARD
from simam_deploy.graph.detect.bodies import without_detection_nodes
from simam_deploy.graph.detect.find import to_detection_nodes
from simam_deploy.graph.detect.nodes import detection_nodes
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import with_shapes
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import for_runtime
from simam_deploy.op import detection
from tests.graph.detect.graphs import align_model, nms_model

FIXED = [(2, 3, 128 // s, 160 // s) for s in detection.STRIDES]
FREE = [("n", 3, f"h{i}", f"w{i}") for i in range(4)]
GRAPHS = {
    "mask": lambda: align_model(FIXED, 12, size=14, ratio=2, finest=28.0),
    "box": lambda: align_model(FREE, 12),
    "half": lambda: align_model(FIXED, 12, dtype="FLOAT16"),
    "bfloat16": lambda: align_model(FREE, 12, dtype="BFLOAT16"),
    "groups": lambda: nms_model(2, 50, groups=3, opset=23),
    "one group": lambda: nms_model("n", 50, threshold=0.75),
    "free": lambda: nms_model("n", "m", groups=80),
}


def through_a_file(graph, folder):
    write_model(graph, folder / "a.onnx")
    return with_shapes(read_model(folder / "a.onnx"))


@pytest.mark.parametrize("simplified", [True, False])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_nodes_come_back(name, simplified, tmp_path):
    graph = GRAPHS[name]()
    (before,) = detection_nodes(graph)
    wanted = {key: a.value for key, a in before.attributes.items()}
    inputs = [value.name for value in before.inputs]
    written = for_runtime(graph, graph.opset_imports[""], simplified)
    assert not detection_nodes(written)
    found = through_a_file(written, tmp_path)
    assert to_detection_nodes(found) == 1
    (node,) = detection_nodes(found)
    assert {key: a.value for key, a in node.attributes.items()} == wanted
    if wanted.get("num_groups") == 1:  # the groups, which are of no use, are made anew
        inputs[2] = node.inputs[2].name
    assert [value.name for value in node.inputs] == inputs
    assert {n.op_type for n in found.graph} <= {node.op_type, "Cast", "Shape", "ConstantOfShape"}


@pytest.mark.parametrize("groups", [1, 3])
def test_scores_that_were_reshaped_before_are_found(groups, tmp_path):
    """A simplifier makes one Reshape of theirs and the Unsqueeze behind it."""
    graph = nms_model(2, 50, groups=groups)
    scores = graph.graph.inputs[1]
    scores.shape = ir.Shape([1, 100])
    (node,) = list(graph.graph)
    shape = ir.val("shape", const_value=ir.tensor([2, 50], name="shape"))
    graph.graph.register_initializer(shape)
    reshape = ir.node("Reshape", [scores, shape], name="reshape")
    reshape.outputs[0].name, reshape.outputs[0].type = "scores/2", scores.type
    graph.graph.insert_before(node, reshape)
    node.replace_input_with(1, reshape.outputs[0])
    written = for_runtime(with_shapes(graph), 18)
    found = through_a_file(written, tmp_path)
    assert to_detection_nodes(found) == 1
    (node,) = detection_nodes(found)
    assert node.inputs[1].producer().op_type == "Reshape"
    unsqueezed = [n.inputs[0].name for n in written.graph if n.op_type == "Unsqueeze"]
    if node.inputs[1].name in unsqueezed and version("onnxsim") < "0.8":
        pytest.skip("onnx-simplifier before 0.8 leaves the two as they are")
    assert node.inputs[1].name not in unsqueezed


@pytest.mark.parametrize("name", ["mask", "box", "half", "bfloat16"])
def test_of_fixed_sizes_too(name, tmp_path):
    """As files were written before, and as full TensorRT is given them."""
    graph = GRAPHS[name]()
    (before,) = detection_nodes(graph)
    wanted = {key: a.value for key, a in before.attributes.items()}
    without_detection_nodes(graph, STANDARD)
    found = through_a_file(graph, tmp_path)
    assert to_detection_nodes(found) == 1
    (node,) = detection_nodes(found)
    assert {key: a.value for key, a in node.attributes.items()} == wanted


def mended(graph, op_type, change, form):
    """Write a graph in plain ops and change the first of a kind."""
    without_detection_nodes(graph, form)
    node = next(n for n in graph.graph if n.op_type == op_type)
    change(graph.graph, node)
    return with_shapes(graph)


def constant(index, value):
    def change(graph, node):
        other = ir.val("other", const_value=ir.tensor(np.array(value), name="other"))
        graph.register_initializer(other)
        node.replace_input_with(index, other)

    return change


def attribute(name, value):
    return lambda graph, node: node.attributes.update(
        {name: ir.convenience.convert_attribute(name, value)}
    )


@pytest.mark.parametrize(
    ("kind", "op_type", "change"),
    [
        ("box", "Where", constant(2, np.float32(0))),
        ("box", "Add", constant(1, np.float32(0))),
        ("box", "GreaterOrEqual", constant(1, np.float32([2, 4, 16]))),
        ("box", "RoiAlign", attribute("spatial_scale", 0.5)),
        ("box", "RoiAlign", attribute("mode", "max")),
        ("box", "RoiAlign", attribute("sampling_ratio", 1)),
        ("one group", "Where", constant(2, np.float32(0))),
        ("one group", "NonMaxSuppression", constant(4, np.float32(0))),
        ("one group", "NonMaxSuppression", attribute("center_point_box", 1)),
        ("one group", "Greater", constant(1, np.float32(2))),
    ],
)
@pytest.mark.parametrize("form", [ROUTED, STANDARD])
def test_what_is_not_quite_so_stays(form, kind, op_type, change):
    stays(mended(GRAPHS[kind](), op_type, change, form))


def the_place_for_the_key(graph, node):
    """Read a TopK's values where its indices are read."""
    node.outputs[1].replace_all_uses_with(node.outputs[0])
    node.outputs[0].name = "values"


@pytest.mark.parametrize(
    ("op_type", "change"),
    [
        ("TopK", attribute("largest", 1)),
        ("TopK", the_place_for_the_key),
        ("LessOrEqual", constant(1, np.int64([0, 1, 2, 4]))),
        ("Slice", constant(1, np.int64([1]))),
        ("Min", constant(1, np.float32(1e6))),
    ],
)
def test_rois_that_go_another_way_stay(op_type, change):
    stays(mended(GRAPHS["box"](), op_type, change, ROUTED))


def stays(model):
    assert to_detection_nodes(model) == 0
    assert not detection_nodes(model)


def test_the_loops_are_not_taken_for_it():
    graph = align_model(FIXED, 12)
    without_detection_nodes(graph, LOOPS)
    assert to_detection_nodes(with_shapes(graph)) == 0

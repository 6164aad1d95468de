"""Each library gets a detector's operators as it can build them."""

import pytest

from simam_deploy.engine.build.prepare import recognise_graph, write_graph
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.errors import UsageError
from simam_deploy.graph.detect.nodes import detection_nodes
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import for_runtime
from tests.graph.detect.test_orders import NODES, small

MISSING = {"RoiAlign", "NonMaxSuppression"}
"""In TensorRT-RTX, when it builds ahead of time."""


@pytest.fixture
def file(tmp_path):
    write_model(for_runtime(typed(small()), 18), tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def built(file, flavour, plugin):
    graph = file.with_name("g.onnx")
    facts = write_graph(
        recognise_graph(file), graph, "plugin" if plugin else "wide", FLAVOURS[flavour].detection
    )
    assert facts["lowering"] == ("plugin" if plugin else "wide")
    return read_model(graph)


@pytest.mark.parametrize(("flavour", "found"), [("tensorrt", MISSING), ("tensorrt_rtx", set())])
def test_without_a_plugin_it_is_the_library_s_own_ops(flavour, found, file):
    graph = built(file, flavour, plugin=False)
    assert not graph.functions
    assert MISSING & {node.op_type for node in graph.graph.all_nodes()} == found


@pytest.mark.parametrize(("flavour", "found"), [("tensorrt", MISSING), ("tensorrt_rtx", set())])
def test_with_a_plugin_these_are_the_bodies_of_its_nodes(flavour, found, file):
    graph = built(file, flavour, plugin=True)
    assert [node.op_type for node in detection_nodes(graph)] == NODES
    bodies = [node for function in graph.functions.values() for node in function.all_nodes()]
    assert MISSING & {node.op_type for node in bodies} == found


def test_an_old_file_with_nodes_is_refused_in_one_line(tmp_path):
    graph = small(opset=17)
    write_model(graph, tmp_path / "a.onnx")
    with pytest.raises(UsageError, match=r"a detector \(BatchedNMS\) wants opset 18 or newer"):
        write_graph(recognise_graph(tmp_path / "a.onnx"), tmp_path / "g.onnx", "wide")

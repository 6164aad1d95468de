import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import append_metadata, write_model
from simam_deploy.runtime.onnx_runner import OnnxRunner
from tests.graph.onnx_text import model, run

X = np.random.default_rng(0).standard_normal((2, 300)).astype(np.float32)


def gemm():
    rng = np.random.default_rng(1)
    return model(
        """<ir_version: 8, opset_import: ["" : 18], producer_name: "somebody">
        g (float[2,300] x) => (float[2,40] y) { y = Gemm(x, w, b) }""",
        w=rng.standard_normal((300, 40)).astype(np.float32),
        b=rng.standard_normal(40).astype(np.float32),
        nothing=np.zeros(0, np.int64),
    )


def test_is_byte_for_byte_what_onnx_reads_and_means_the_same(tmp_path):
    graph, path = gemm(), tmp_path / "m.onnx"
    write_model(graph, path)
    read = onnx.load(path)
    onnx.checker.check_model(read, full_check=True)
    expected = ir.to_proto(graph)
    expected.graph.ClearField("value_info")  # of initializers, which state their own shape
    assert read == expected
    assert read.producer_name == "somebody"
    np.testing.assert_array_equal(run(ir.load(path), x=X)[0], run(graph, x=X)[0])


def test_the_model_is_whole_after_writing(tmp_path):
    graph = gemm()
    write_model(graph, tmp_path / "m.onnx")
    assert list(graph.graph.initializers) == ["w", "b", "nothing"]


def test_above_the_limit_weights_go_beside(tmp_path):
    graph, path = gemm(), tmp_path / "m.onnx"
    before = run(graph, x=X)[0]
    write_model(graph, path, single_file_limit=1000)
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "m.onnx.data"}
    assert path.stat().st_size < 10_000
    onnx.checker.check_model(str(path))
    with OnnxRunner(path) as runner:
        np.testing.assert_array_equal(runner.run({"x": X})["y"], before)


def test_metadata_is_added_to_what_is_there(tmp_path):
    graph, path = gemm(), tmp_path / "m.onnx"
    graph.metadata_props["first"] = "1"
    write_model(graph, path)
    append_metadata(path, {"second": "ü" * 300, "third": ""})
    read = onnx.load(path)
    assert {p.key: p.value for p in read.metadata_props} == {
        "first": "1",
        "second": "ü" * 300,
        "third": "",
    }
    onnx.checker.check_model(read)


def with_external_data(folder):
    """The Gemm with its data beside it, and a Constant and an If with external data of their own.

    `nothing` is a tensor without elements in that file, which cannot be mapped.
    """
    graph = gemm()
    ir.save(graph, folder / "m.onnx", external_data="w.bin", size_threshold_bytes=-1)
    proto = onnx.load(folder / "m.onnx", load_external_data=False)
    weight = next(t for t in proto.graph.initializer if t.name == "b")
    inner = onnx.parser.parse_graph("t () => (float[40] v) { v = Identity(inner) }")
    inner.initializer.add().CopyFrom(weight)
    inner.initializer[0].name = "inner"
    other = onnx.parser.parse_graph("e () => (float[40] u) { u = Identity(k) }")
    proto.graph.node[0].output[0] = "z"
    proto.graph.node.extend(
        [
            onnx.helper.make_node("Constant", [], ["k"], value=weight),
            onnx.helper.make_node(
                "Constant", [], ["flag"], value=onnx.helper.make_tensor("", 9, [], [True])
            ),
            onnx.helper.make_node("If", ["flag"], ["a"], then_branch=inner, else_branch=other),
            onnx.helper.make_node("Add", ["z", "a"], ["s"]),
            onnx.helper.make_node("Add", ["s", "k"], ["y"]),
        ]
    )
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    return folder / "m.onnx"


@pytest.mark.parametrize("limit", [0, 10**9])
def test_external_data_come_along_wherever_they_are(limit, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    source, path = with_external_data(tmp_path / "old"), tmp_path / "new" / "n.onnx"
    with OnnxRunner(source) as runner:
        before = runner.run({"x": X})["y"]
    write_model(read_model(source), path, single_file_limit=limit)
    assert len(list(path.parent.iterdir())) == (1 if limit else 2)
    for file in source.parent.iterdir():
        file.unlink()
    onnx.checker.check_model(str(path), full_check=True)
    with OnnxRunner(path) as runner:
        np.testing.assert_array_equal(runner.run({"x": X})["y"], before)


@pytest.mark.parametrize("length", [0, 127, 128, 16383, 16384, 2**21])
def test_lengths_at_the_edges_of_a_varint(tmp_path, length):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"")
    append_metadata(path, {"k": "v" * length})
    assert onnx.load(path, load_external_data=False).metadata_props[0].value == "v" * length

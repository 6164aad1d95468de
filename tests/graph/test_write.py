import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy.graph.write import append_metadata, write_model
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


@pytest.mark.parametrize("length", [0, 127, 128, 16383, 16384, 2**21])
def test_lengths_at_the_edges_of_a_varint(tmp_path, length):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"")
    append_metadata(path, {"k": "v" * length})
    assert onnx.load(path, load_external_data=False).metadata_props[0].value == "v" * length

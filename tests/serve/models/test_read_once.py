"""What was hashed is what is loaded, whatever comes to lie under the names between the two."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from simam_deploy.core.manifest import write_manifest
from simam_deploy.errors import InputError
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.serve.models import model
from simam_deploy.serve.settings import Settings

SHAPE = (8, 8)
X = np.eye(*SHAPE, dtype=np.float32)


def scaled(folder, factor, location=None):
    """y = factor * x, by a matrix that may lie outside the file."""
    path = folder / "m.onnx"
    graph = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]>'
        "g (float[n, 8] x) => (float[n, 8] y) { y = MatMul(x, w) }"
    )
    weights = factor * np.eye(*SHAPE, dtype=np.float32)
    graph.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    if location is not None:
        (folder / location).parent.mkdir(exist_ok=True)
        (folder / location).unlink(missing_ok=True)  # onnx appends
        onnx.save(graph, path, save_as_external_data=True, location=location, size_threshold=0)
    else:
        onnx.save(graph, path)
    return path


def loaded(path, **settings):
    return model.load_model("m", path, "1", Settings(**settings))


def answer(served):
    try:
        return served.batcher._runners[0].run({"x": X})["y"]
    finally:
        served.close()


@pytest.fixture
def swapped(monkeypatch):
    """Replaces the files between the reading and the opening."""
    real = model.open_runners

    def swap(*again):
        def opened(*arguments):
            scaled(*again)
            return real(*arguments)

        monkeypatch.setattr(model, "open_runners", opened)

    return swap


@pytest.mark.parametrize("location", [None, "m.onnx.data"])
@pytest.mark.parametrize("instances", [1, 2])
def test_the_bytes_that_were_hashed_are_served(location, instances, swapped, tmp_path):
    path = scaled(tmp_path, 2.0, location)
    files = [path] if location is None else [path, tmp_path / location]
    write_manifest(path, files, {})
    swapped(tmp_path, -3.0, location)
    served = loaded(path, instances=instances)
    assert len(served.batcher._runners) == instances
    assert np.array_equal(answer(served), 2 * X)
    with OnnxRunner(path) as runner:  # and the swap did take place
        assert np.array_equal(runner.run({"x": X})["y"], -3 * X)


@pytest.mark.parametrize("location", ["weights.bin", "w/m.bin"])
def test_external_data_of_other_names_without_a_manifest(location, swapped, tmp_path):
    path = scaled(tmp_path, 2.0, location)
    swapped(tmp_path, -3.0, location)
    assert np.array_equal(answer(loaded(path)), 2 * X)


def test_external_data_that_the_manifest_does_not_list(tmp_path):
    path = scaled(tmp_path, 2.0, "weights.bin")
    write_manifest(path, [path], {})
    with pytest.raises(InputError, match=r"m\.json does not list weights\.bin"):
        loaded(path)


def test_no_external_data_out_of_the_working_folder(monkeypatch, tmp_path):
    """A session made of bytes looks for them there."""
    path = scaled(tmp_path, 2.0, "weights.bin")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "weights.bin").rename(elsewhere / "weights.bin")
    monkeypatch.chdir(elsewhere)
    with pytest.raises(InputError, match=r"external data 'weights\.bin' are missing"):
        loaded(path)


def test_external_data_outside_the_folder(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    path = scaled(inner, 2.0, "weights.bin")
    (inner / "weights.bin").rename(tmp_path / "weights.bin")
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].external_data[0].value = "../weights.bin"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match="outside the model's folder"):
        loaded(path)

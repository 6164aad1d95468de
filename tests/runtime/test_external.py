"""Weights outside a file, given to ONNX Runtime out of memory: by its own call, and by ours."""

import numpy as np
import onnx
import pytest

from simam_deploy.graph.file.contents import onnx_contents
from simam_deploy.graph.file.write import write_model
from simam_deploy.runtime import onnx_runner
from tests.graph.onnx_text import model

GRAPH = (
    '<ir_version: 8, opset_import: ["" : 18]>'
    "g (float[n,512] x) => (float[n,512] y) { z = Mul(x, v)  y = Add(z, w) }"
)

V, W = np.arange(512, dtype=np.float32), np.arange(512, 1024, dtype=np.float32)


@pytest.fixture
def path(tmp_path):
    graph = model(GRAPH, v=V, w=W)
    write_model(graph, tmp_path / "m.onnx", single_file_limit=0)
    return tmp_path / "m.onnx"


class Before124:
    """Options that cannot be given external data."""


def test_an_older_runtime_is_given_the_data_with_the_graph(path):
    _, contents = onnx_contents(path)
    assert len(contents) == 2
    whole = onnx_runner._from_memory(Before124(), path, contents)
    for file in path.parent.iterdir():
        file.unlink()  # nothing of them is looked at again
    with onnx_runner.OnnxRunner(path, contents={path.name: whole}) as runner:
        x = np.stack([W, V])
        (found,) = runner.run({"x": x}).values()
    np.testing.assert_array_equal(found, np.stack([W * V + W, V * V + W]))
    assert not any(map(onnx.external_data_helper.uses_external_data, _tensors(whole)))


def _tensors(content):
    return onnx.ModelProto.FromString(content).graph.initializer

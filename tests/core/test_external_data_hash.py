"""Weights outside an .onnx, changed behind its manifest's back: whoever opens it sees it."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.engine.options import EngineOptions
from simam_deploy.errors import InputError, ValidationError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.seal import seal
from simam_deploy.graph.file.write import write_model
from simam_deploy.pipeline.build import build
from simam_deploy.serve.deploy import write_kserve, write_triton
from tests.graph.onnx_text import model
from tests.serve.running import serving


@pytest.fixture
def artifact(tmp_path):
    """A doubling and its manifest, the weights in `m.onnx.data`."""
    graph = model(
        '<ir_version: 8, opset_import: ["" : 18]>'
        "g (float[n,4,8,8] x) => (float[n,4,8,8] y) { y = Mul(x, w) }",
        w=np.full((4, 8, 8), 2, np.float32),
    )
    path = tmp_path / "m.onnx"
    write_model(graph, path, single_file_limit=0)
    seal(path, {})
    return path


def change_weights(data):
    """Let one weight be 2 + 2^-6; the data are as long as before, the graph is what it was."""
    content = bytearray(data.read_bytes())
    content[2] ^= 1
    data.write_bytes(content)


def triton(path, folder):
    write_triton(path, folder)


def kserve(path, folder):
    write_kserve(path, folder / "service.yaml", storage_uri="s3://bucket/models")


def server(path, folder):
    with serving({"m": path}) as running:
        assert running.request("GET", "/v2/models/m")[0] == 200


@pytest.mark.parametrize("use", [triton, kserve, server])
def test_whoever_uses_an_artifact_holds_its_weights_against_their_hash(use, artifact, tmp_path):
    use(artifact, tmp_path / "before")
    change_weights(tmp_path / "m.onnx.data")
    with pytest.raises(InputError, match=r"m\.onnx\.data is not the file that"):
        use(artifact, tmp_path / "after")


@pytest.mark.parametrize("name", ["m.onnx.data", "weights.bin"])
def test_no_plan_of_other_weights_comes_from_the_cache(name, artifact, gpu, tmp_path):
    """The fake's plans double: of the weights as they are now that is wrong, and must be seen."""
    ir.save(read_model(artifact), artifact, external_data=name)  # ours, or another exporter's name
    options = EngineOptions(backend="tensorrt")
    cached = [build(artifact, tmp_path / f"{each}.engine", options).cached for each in "ab"]
    assert cached == [False, True]
    change_weights(tmp_path / name)
    with pytest.raises(ValidationError, match=r"c\.engine was not written: output y of case"):
        build(artifact, tmp_path / "c.engine", options)

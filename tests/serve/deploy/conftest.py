import json

import onnx
import pytest

from simam_deploy.core.files import sha256_of


def product():
    """A matrix product with a free batch: 4 numbers in, 10 out."""
    weights = ", ".join(["0.5"] * 40)
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[batch,4] x) => (float[batch,10] logits)
        <float[4,10] w = {{{weights}}}> {{ logits = MatMul(x, w) }}"""
    )


@pytest.fixture
def make_onnx(tmp_path):
    """Write an .onnx with its manifest: a matrix product, or what is given."""

    def make(name="m.onnx", model=None, **facts):
        path = tmp_path / name
        model = model or product()
        path.write_bytes(model.SerializeToString())
        write_sidecar(path, path.with_suffix(".json"), "onnx", facts)
        return path

    return make


@pytest.fixture
def make_plan(tmp_path):
    """Write a file that passes for a plan, with such a manifest as simam-build writes."""

    def make(name="m.engine", free=True, **facts):
        path = tmp_path / name
        path.write_bytes(b"ftrt and so on")
        batch = "batch" if free else 2
        ranges = {"min": [1, 3, 32, 32], "opt": [4, 3, 32, 32], "max": [16, 3, 32, 32]}
        document = {
            "flavour": "tensorrt",
            "version": "10.9.0.34",
            "targets": ["sm89"],
            "profiles": [[{"name": "x", **ranges}]] if free else [],
            "inputs": [{"name": "x", "dtype": "float32", "shape": [batch, 3, 32, 32]}],
            "outputs": [{"name": "logits", "dtype": "float16", "shape": [batch, 10]}],
            "plugin": None,
            **facts,
        }
        write_sidecar(path, path.with_name(f"{name}.json"), "engine", document)
        return path

    return make


def write_sidecar(path, sidecar, kind, facts):
    files = [{"name": path.name, "size": path.stat().st_size, "sha256": sha256_of(path)}]
    document = {"schema": 1, "kind": kind, "files": files, **facts}
    sidecar.write_text(json.dumps(document))

"""The wheel simam-deploy-ort: made by one script, installed beside ONNX Runtime alone."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_import_order import ROOT

SCRIPT = ROOT / "scripts" / "build_operators_wheel"
ASKS = """
import numpy as np, onnxruntime as ort, simam_deploy_ort
options = ort.SessionOptions()
options.register_custom_ops_library(simam_deploy_ort.library_path())
session = ort.InferenceSession("m.onnx", options, providers=["CPUExecutionProvider"])
x = np.random.default_rng(0).standard_normal((1, 2, 9, 9)).astype(np.float32)
np.save("y.npy", session.run(None, {"x": x})[0])
"""


@pytest.mark.parametrize(
    ("arguments", "says"), [((), "--onnxruntime-include is wanted"), (("-x",), "is wanted")]
)
def test_usage(arguments, says):
    done = subprocess.run(["bash", SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.slow
def test_it_runs_a_file_where_there_is_nothing_else_of_ours(tmp_path):
    header = os.environ.get("ONNXRUNTIME_INCLUDE")
    if not header:
        pytest.skip("ONNXRUNTIME_INCLUDE names no folder of onnxruntime_c_api.h")
    if shutil.which("cmake") is None:
        pytest.skip("cmake is missing: pip install cmake")
    subprocess.run(["bash", SCRIPT, "--onnxruntime-include", header, tmp_path], check=True)
    (wheel,) = tmp_path.glob("simam_deploy_ort-*-py3-none-manylinux_2_17_*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    make_model(tmp_path / "m.onnx")
    import onnxruntime

    beside = Path(onnxruntime.__file__).parents[1]
    command = [sys.executable, "-c", ASKS]
    environment = {"PYTHONPATH": f"{tmp_path}:{beside}"}
    subprocess.run(command, cwd=tmp_path, check=True, env=environment)

    import numpy as np

    from simam_deploy.op.contract import simam_reference

    x = np.random.default_rng(0).standard_normal((1, 2, 9, 9)).astype(np.float32)
    assert np.abs(np.load(tmp_path / "y.npy") - simam_reference(x, 0.1)).max() < 1e-6


@pytest.mark.slow
def test_one_for_another_machine(tmp_path):
    header = os.environ.get("ONNXRUNTIME_INCLUDE")
    if not header:
        pytest.skip("ONNXRUNTIME_INCLUDE names no folder of onnxruntime_c_api.h")
    if shutil.which("aarch64-linux-gnu-g++") is None or shutil.which("cmake") is None:
        pytest.skip("aarch64-linux-gnu-g++ or cmake is missing")
    options = ["--onnxruntime-include", header, "--target", "aarch64"]
    subprocess.run(["bash", SCRIPT, *options, tmp_path], check=True)
    (wheel,) = tmp_path.glob("simam_deploy_ort-*-py3-none-manylinux_2_17_aarch64.whl")
    library = zipfile.ZipFile(wheel).read("simam_deploy_ort/libsimam_onnxruntime.so")
    assert library[:5] == b"\x7fELF\x02"
    assert int.from_bytes(library[18:20], "little") == 183  # EM_AARCH64


def make_model(path):
    """One SimAM without a body: whoever runs it has the operator."""
    import onnx

    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[1, 2, 9, 9] x) => (float[1, 2, 9, 9] y) { y = simam.SimAM<e_lambda = 0.1>(x) }"""
    )
    path.write_bytes(model.SerializeToString())

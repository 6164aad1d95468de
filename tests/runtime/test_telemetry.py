"""ONNX Runtime tells nobody what is run."""

import os
import subprocess
import sys

import onnx_ir as ir
import pytest

from tests.graph.onnx_text import model
from tests.test_import_order import ROOT

RUN = """
{first}
import onnxruntime as ort
ort.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
"""


GRAPH = '<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[4] y) { y = Relu(x) }'


def kept(folder, first):
    """What a session leaves in its user's home."""
    (folder / "home").mkdir(parents=True)
    ir.save(model(GRAPH), folder / "m.onnx")
    gone = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in gone}
    environment |= {"HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RUN.format(first=first)]
    subprocess.run(command, cwd=folder, check=True, env=environment, timeout=120)
    return [path.name for path in (folder / "home").rglob("*") if "onnxruntime" in path.name]


def test_nothing_of_it_is_kept_where_we_are_imported(tmp_path):
    if not kept(tmp_path / "without", ""):
        pytest.skip("this ONNX Runtime keeps nothing by itself")
    assert kept(tmp_path / "with", "import simam_deploy") == []

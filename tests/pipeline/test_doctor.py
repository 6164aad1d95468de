"""`simam doctor`, on this machine and on one with a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

from simam_deploy.cli.doctor import main
from simam_deploy.core.version import __version__

FAKES = Path(__file__).parents[1] / "engine" / "fakes"


def findings(document):
    return {f["topic"]: f for f in document["findings"]}


def test_json_is_the_only_thing_on_stdout(capsys):
    assert main(["--json"]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["version"] == __version__
    found = findings(document)
    assert found["torch"]["fine"]
    assert {"python", "onnxruntime", "gpu", "tensorrt", "tensorrt_rtx"} <= found.keys()
    assert all(f["fine"] or f["advice"] for f in document["findings"])


def test_the_table_fits_a_terminal(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("ok  python")


def doctor(**variables):
    path = os.pathsep.join([str(FAKES), *sys.path])
    command = [sys.executable, "-m", "simam_deploy", "doctor", "--json"]
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return findings(json.loads(done.stdout))


def test_with_a_gpu():
    found = doctor(FAKE_TENSORRT="tensorrt-11.4.0.106", FAKE_SM="89")
    assert found["gpu"]["found"] == "Fake GPU (sm89, 16 GiB); the driver serves CUDA 13.0"
    assert found["tensorrt"]["found"] == "11.4.0.106: builds and runs here"


def test_tensorrt_without_a_gpu_builds_nothing():
    found = doctor(FAKE_TENSORRT="tensorrt-10.9.0.34")
    assert not found["gpu"]["fine"]
    assert not found["tensorrt"]["fine"]
    assert found["tensorrt"]["found"] == "10.9.0.34: idle here"


def test_a_version_that_is_too_old(tmp_path):
    (tmp_path / "tensorrt.py").write_text("__version__ = '8.6.1'")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "simam_deploy", "doctor", "--json"]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found = findings(json.loads(done.stdout))["tensorrt"]
    assert not found["fine"]
    assert "8.6.1 is installed, 10.9 or newer, below 12.0 is supported" in found["found"]

"""Requirements: packages that lie on the path are held against what our own metadata says."""

import json
import subprocess
import sys

import pytest

from tests.test_import_order import ROOT

ASKED = "import json; from simam_deploy.pipeline.requirements import unmet; " \
    "print(json.dumps([[u.name, u.found, u.advice] for u in unmet()]))"  # fmt: skip
OURS = (
    "Requires-Dist: onnxsim>=0.6.3\nRequires-Dist: nothing-such>=1\n"
    'Provides-Extra: cpu\nRequires-Dist: onnxruntime>=1.23; extra == "cpu"\n'
    'Provides-Extra: serve\nRequires-Dist: none-of-it>=1; extra == "serve"\n'
)


def package(folder, name, version, more=""):
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (place / "METADATA").write_text(head + more)


def asked(folder):
    environment = {"PYTHONPATH": f"{folder}:{ROOT}", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", ASKED], capture_output=True, text=True, env=environment, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("runtime", ["1.22.1", "1.23.0"])
def test_old_missing_and_doubled_packages_are_said(runtime, tmp_path):
    package(tmp_path, "simam-deploy", "0.1.0", OURS)
    package(tmp_path, "onnxsim", "0.5.0")
    package(tmp_path, "onnxruntime", runtime)
    package(tmp_path, "onnxruntime-gpu", "1.23.0")
    old = "1.22.1 is installed, >=1.23 is wanted"
    wanted = [
        ["onnxsim", "0.5.0 is installed, >=0.6.3 is wanted", "pip install 'onnxsim>=0.6.3'"],
        ["nothing-such", "not installed", "pip install 'nothing-such>=1'"],
        *([["onnxruntime", old, "pip install 'onnxruntime>=1.23'"]] if runtime < "1.23" else []),
        [
            "onnxruntime",
            "onnxruntime and onnxruntime-gpu are both installed",
            "pip uninstall onnxruntime onnxruntime-gpu, then install one",
        ],
    ]
    assert asked(tmp_path) == wanted


def test_what_fits_is_not_said(tmp_path):
    package(
        tmp_path, "simam-deploy", "0.1.0", 'Requires-Dist: onnxsim>=0.6.3; python_version > "3"\n'
    )
    package(tmp_path, "onnxsim", "0.6.3")
    assert asked(tmp_path) == []

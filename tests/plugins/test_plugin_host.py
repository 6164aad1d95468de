"""The plugin's host side, driven through TensorRT's interfaces by plugins/simam/tests.

TENSORRT_INCLUDE names the folder of TensorRT's headers, or several, each of which is compiled
against; without it the usual places are searched. No wheel has them: where there are none, or no
CUDA toolkit, all this is skipped, and what the sources say of the contract is all that is checked.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simam_deploy.op import contract, detection
from simam_deploy.op.find import LIBRARIES

SOURCES = Path(__file__).parents[2] / "plugins" / "simam"
HEADERS = os.environ.get("TENSORRT_INCLUDE", "").split(os.pathsep)
CHECKS = {
    "plugin_host": (
        "bad_attributes", "capabilities", "contract", "enqueue", "formats", "good_attributes",
        "no_logger", "other_tensors", "output_shapes", "output_types", "round_trip", "shape_change",
        "timing_cache_id", "workspace",
    ),
    "detection_host": (
        "align_attributes", "contract", "enqueue_align", "enqueue_nms", "formats",
        "nms_attributes", "nms_formats", "other_tensors", "output_shapes", "output_types",
        "round_trip", "shape_change", "timing_cache_id", "workspace",
    ),
}  # fmt: skip
"""SimAM's plugins, and a detector's two."""
FLOAT, HALF, BFLOAT16 = 0, 1, 7
LINEAR, HWC8, HWC = 0, 2, 8
OFFERED = {
    "tensorrt": {(FLOAT, LINEAR), (HALF, LINEAR), (HALF, HWC8), (BFLOAT16, LINEAR)}
    | {(BFLOAT16, HWC8)},
    "tensorrt_rtx": {(FLOAT, HWC), (HALF, HWC), (BFLOAT16, LINEAR)},
}
"""By TensorRT's numbers of types and formats."""
MISSING = {
    "NvInferRuntime.h not found": "TensorRT's headers are missing: set TENSORRT_INCLUDE",
    "CUDAToolkit": "the CUDA toolkit is missing",
}


@pytest.fixture(scope="module", params=HEADERS, ids=lambda folder: Path(folder).parent.name)
def programs(request, tmp_path_factory):
    """The folder of the harnesses, built with all warnings as errors and with sanitizers."""
    if not (shutil.which("cmake") and shutil.which("g++")):
        pytest.skip("cmake or g++ is missing")
    folder = tmp_path_factory.mktemp("host")
    headers = [f"-DTENSORRT_INCLUDE={request.param}"] if request.param else []
    done = run("cmake", "-S", SOURCES, "-B", folder, "-DSIMAM_HOST_ONLY=ON", *headers)
    for words, reason in MISSING.items():
        if done.returncode and words in done.stderr:
            pytest.skip(reason)
    assert done.returncode == 0, done.stderr
    done = run("cmake", "--build", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True)


def checked(programs, flavour, check, host="plugin_host"):
    done = run(programs / f"{host}_{flavour}", check)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("host", CHECKS)
def test_every_check_is_run(programs, host):
    assert checked(programs, "tensorrt", "--list", host) == list(CHECKS[host])


@pytest.mark.parametrize("flavour", list(LIBRARIES))
@pytest.mark.parametrize(("host", "check"), [(h, c) for h, all_ in CHECKS.items() for c in all_])
def test_check(programs, host, check, flavour):
    checked(programs, flavour, check, host)


@pytest.mark.parametrize("flavour", list(LIBRARIES))
def test_the_creators_are_the_contracts_operators(programs, flavour):
    assert checked(programs, flavour, "contract") == [
        " ".join(
            [
                contract.DOMAIN,
                str(contract.OP_VERSION),
                name,
                str(len(inputs)),
                *contract.ATTRIBUTES[name],
            ]
        )
        for name, inputs in contract.INPUTS.items()
    ]


@pytest.mark.parametrize("flavour", list(LIBRARIES))
def test_the_creators_are_a_detectors_operators(programs, flavour):
    kinds = {"finest_scale": "float", "iou_threshold": "float"}
    assert checked(programs, flavour, "contract", "detection_host") == [
        " ".join(
            [
                contract.DOMAIN,
                str(contract.OP_VERSION),
                name,
                str(len(inputs)),
                *(f"{a}:{kinds.get(a, 'int')}" for a in detection.ATTRIBUTES[name]),
            ]
        )
        for name, inputs in detection.INPUTS.items()
    ]


@pytest.mark.parametrize("host", CHECKS)
@pytest.mark.parametrize("flavour", list(LIBRARIES))
def test_the_layouts_offered(programs, flavour, host):
    lines = checked(programs, flavour, "formats", host)
    assert {tuple(map(int, line.split())) for line in lines} == OFFERED[flavour]


LOADS = "import ctypes, sys; [ctypes.CDLL(library) for library in sys.argv[1:]]"


def test_a_host_that_only_opens_libraries_gets_the_plugin(programs):
    """TensorRT is in the process, but not where a global look-up reaches."""
    (nvinfer,) = programs.glob("libnvinfer.so.*")
    shim = programs / "libsimam_tensorrt_register.so"
    done = run(sys.executable, "-c", LOADS, nvinfer, shim)
    assert (done.returncode, done.stdout) == (0, f"{programs}/libsimam_tensorrt.so\n")
    done = run(sys.executable, "-c", LOADS, shim)
    version = nvinfer.name.rpartition(".")[2]
    assert done.stderr == f"simam: there is no TensorRT {version} in this process\n"


def test_the_sources_state_the_contract():
    """Without headers, too."""
    text = (SOURCES / "tensorrt" / "operators.h").read_text()
    found = re.findall(r'\{"(\w+)", (\d), (\d)\}', text)
    assert found == [
        (name, str(len(contract.INPUTS[name])), str(len(contract.ATTRIBUTES[name])))
        for name in contract.INPUTS
    ]
    (names,) = re.findall(r"kAttributeNames\{(.*?)\}", text)
    assert tuple(re.findall(r'"(\w+)"', names)) == contract.ATTRIBUTES[contract.RESIDUAL_OP_TYPE]
    node = (SOURCES / "tensorrt" / "node.h").read_text()
    assert f'kNamespace = "{contract.DOMAIN}"' in node
    assert f'kVersion = "{contract.OP_VERSION}"' in node


@pytest.mark.parametrize(
    ("file", "name"), [("align.cpp", detection.ALIGN_OP_TYPE), ("nms.cpp", detection.NMS_OP_TYPE)]
)
def test_the_sources_state_a_detectors_contract(file, name):
    text = (SOURCES / "tensorrt" / file).read_text()
    assert f'kName = "{name}"' in text
    declared = re.findall(r'\{"(\w+)", PluginFieldType::k(\w+)32\}', text)
    assert tuple(attribute for attribute, _ in declared) == detection.ATTRIBUTES[name]
    reals = {attribute for attribute, kind in declared if kind == "FLOAT"}
    assert reals <= {"finest_scale", "iou_threshold"}
    params = (SOURCES / "detection" / "params.h").read_text()
    assert f"kNothing = {detection.NOTHING:.9e}f" in params

"""The operators for ONNX Runtime's CUDA provider: their host side, over fakes, with sanitizers.

ONNXRUNTIME_INCLUDE names the folder of onnxruntime_c_api.h. Nothing here runs on a GPU: the kernels
are those of the plugin, and tested as such.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.test_import_order import ROOT

SOURCES = ROOT / "plugins" / "simam"
COMMON = ("api", "cpu_operators", "cuda_operators", "domain", "node", "register", "typed", "ways")
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover", "-g", "-O1"]
FLAGS = ["-std=gnu++17", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-Wno-psabi"]
FAULTS = [
    ("cuda_operators.cpp", "params.c = params.pitch = given.channels", "params.c = given.dims[2]"),
    ("cuda_operators.cpp", "params.residual = given.residual;", ""),
    ("cuda_operators.cpp", "status = launch(params, type, Layout::kNCHW, workspace, stream);",
     "status = launch(params, type, Layout::kNCHW, workspace, nullptr);"),
    ("cuda_operators.cpp", "if (status != cudaSuccess) return checked(status);", ""),
    ("cuda_operators.cpp", "status != cudaSuccess ? status : freed", "freed"),
    ("cuda_operators.cpp", "if (failed || given.size() == 0) return failed;",
     "if (failed) return failed;"),
    ("cuda_operators.cpp", "*next++ = on_cuda<1>(kind);", "*next++ = on_cuda<0>(kind);"),
    ("node.cpp", "bias.dims[0] != given.channels", "false"),
    ("api.cpp", "api->ReleaseTensorTypeAndShapeInfo(info);", "(void)info;"),
    ("api.cpp", "std::min<std::size_t>(input.rank, 4)", "input.rank"),
]  # fmt: skip


def includes():
    header = os.environ.get("ONNXRUNTIME_INCLUDE")
    if not header:
        pytest.skip("ONNXRUNTIME_INCLUDE names no folder of onnxruntime_c_api.h")
    cuda = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include"
    if not (cuda / "cuda_runtime_api.h").is_file():
        pytest.skip(f"no cuda_runtime_api.h in {cuda}: CUDA_HOME names the toolkit")
    if shutil.which("g++") is None:
        pytest.skip("g++ is missing")
    return [f"-isystem{header}", f"-isystem{cuda}"]


def built(folder, change=None):
    headers = includes()
    source = folder / "simam"
    shutil.copytree(SOURCES, source)
    if change is not None:
        name, right, wrong = change
        file = source / "onnxruntime" / name
        text = file.read_text()
        assert right in text
        file.write_text(text.replace(right, wrong))
    # One way to compute is enough: no plane is computed here.
    ways = source / "onnxruntime" / "ways.cpp"
    ways.write_text(ways.read_text().replace("__x86_64__", "NOT_HERE"))
    files = [str(source / "onnxruntime" / f"{name}.cpp") for name in (*COMMON, "planes_plain")]
    files.append(str(source / "tests" / "cuda_operators_host.cpp"))
    command = ["g++", *FLAGS, *SANITIZED, f"-I{source}", *headers, *files, "-o", "host"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "host"


def test_what_is_asked_of_the_kernel(tmp_path):
    done = subprocess.run([built(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "0 wrong\n"), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("change", FAULTS)
def test_a_planted_fault_is_seen(change, tmp_path):
    done = subprocess.run([built(tmp_path, change)], capture_output=True, text=True)
    assert done.returncode != 0

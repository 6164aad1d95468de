"""What scripts/build_plugin says where something is missing; it comes to no compilation here."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(*arguments, path=None):
    """Run the script with nothing but the programs in `path`, and what bash and it need."""
    environment = {"PATH": path or os.environ["PATH"], "CUDA_HOME": "/nonexistent"}
    command = [shutil.which("bash"), str(ROOT / "scripts" / "build_plugin"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture
def only(tmp_path):
    """Make a PATH of the named programs alone; the ones that need not work are /bin/true."""

    def make(*programs):
        for name in ("dirname", "sed", "realpath", *programs):
            (tmp_path / name).symlink_to(shutil.which(name) or "/bin/true")
        return str(tmp_path)

    return make


def test_help_shows_the_options():
    done = build("--help")
    assert done.returncode == 0
    assert "--tensorrt-include" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fast"], "unknown option --fast; see --help"),
        (["--arch"], "--arch wants a value"),
        (["--target"], "--target wants a value"),
        (["--target", "aarch64"], "--target goes with --onnxruntime-include"),
    ],
)
def test_usage(arguments, says):
    done = build(*arguments)
    assert (done.returncode, done.stderr) == (2, f"build_plugin: {says}\n")


def test_a_folder_without_headers(tmp_path):
    done = build("--tensorrt-include", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"build_plugin: there is no NvInferRuntime.h in {tmp_path}\n"


def test_a_machine_without_its_compiler(only, tmp_path):
    header = tmp_path / "include"
    header.mkdir()
    (header / "onnxruntime_c_api.h").touch()
    asked = ("--onnxruntime-include", str(header), "--target", "sparc")
    done = build(*asked, path=only("cmake"))
    assert (done.returncode, done.stderr) == (1, "build_plugin: sparc-linux-gnu-g++ is missing\n")


def test_without_cmake(only):
    done = build(path=only())
    assert done.returncode == 1
    assert done.stderr == "build_plugin: cmake is missing: pip install cmake\n"


def test_without_nvcc(only):
    done = build(path=only("cmake"))
    assert done.returncode == 1
    assert "nvcc is missing: install the CUDA toolkit, or set CUDA_HOME" in done.stderr

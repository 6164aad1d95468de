"""Fixtures that several rooms' tests share."""

import gc
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.engine.conftest import cache, digits_onnx, fakes, gpu, tensorrt

__all__ = ["cache", "digits_onnx", "fakes", "gpu", "tensorrt"]

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def leaves_nothing_open():
    """Blame a test for what it left open: a socket, a client, a child, a file.

    What sits in a cycle is found when the collector next runs, which is in some later test, whose
    fault it is not. So each test ends with a collection of what it made; what was there before is
    set aside meanwhile, or torch alone would cost a tenth of a second a test.
    """
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()


@pytest.fixture(scope="session")
def digits() -> Path:
    """The trained digits checkpoint that the repository ships."""
    (path,) = EXAMPLES.glob("digits-*/model_best.pth.tar")
    return path


@pytest.fixture(scope="session")
def aot_ptx(tmp_path_factory) -> Path:
    """plugins/simam/aot as PTX, compiled as scripts/build_plugin does."""
    nvcc = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if nvcc is None:
        pytest.skip("no nvcc: the kernels cannot be compiled to PTX")
    source = EXAMPLES.parent / "plugins" / "simam"
    ptx = tmp_path_factory.mktemp("aot") / "simam_aot.ptx"
    options = ("-std=c++17", "-O3", "-arch=compute_75", "-ptx", "-Werror", "all-warnings")
    command = [nvcc, *options, f"-I{source / 'kernel'}", source / "aot" / "entries.cu", "-o", ptx]
    subprocess.run(command, check=True)
    return ptx

"""Fixtures that several rooms' tests share."""

import contextlib
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.conftest import cache, digits_onnx, fakes, gpu, tensorrt

__all__ = ["cache", "digits_onnx", "fakes", "gpu", "tensorrt"]

# pytest-xdist tells its workers how wide the terminal is: what is printed would be folded for it.
os.environ.pop("COLUMNS", None)

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def leaves_nothing_open():
    """Blame a test for what it left open: a socket, a client, a child, a file.

    What sits in a cycle is found when the collector next runs, which is in some later test, whose
    fault it is not. So each test ends with a collection of what it made; what was there before is
    set aside meanwhile, or torch alone would cost a tenth of a second a test. A test that failed
    is kept by its traceback until the next one begins, so that is let go of.
    """
    gc.freeze()
    yield
    for kept in ("last_exc", "last_value", "last_traceback"):
        vars(sys).pop(kept, None)
    gc.collect()
    gc.unfreeze()


@pytest.fixture
def launch():
    """Start commands whose output is read by pipes.

    Whatever becomes of the test, none is left running and no pipe open: a test that failed would
    hand them to the next one.
    """
    with contextlib.ExitStack() as children:

        def start(command, **options):
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            child = children.enter_context(subprocess.Popen(command, **pipes, **options))
            children.callback(child.kill)
            return child

        yield start


@pytest.fixture(scope="session", autouse=True)
def traces_kept():
    """Trace a small network once, and have torch read its table of operators once."""
    if "torch" not in sys.modules:  # no test of this run exports in its own process
        yield
        return
    from tests.traced import keep_table, keep_traces

    with pytest.MonkeyPatch.context() as patches:
        keep_table(patches)
        keep_traces(patches)
        yield


@pytest.fixture
def traced_anew():
    """Forget the traces, for a test whose matter they are."""
    from tests.traced import found

    found.clear()


@pytest.fixture(scope="session")
def digits() -> Path:
    """The trained digits checkpoint that the repository ships."""
    (path,) = EXAMPLES.glob("digits-*/model_best.pth.tar")
    return path


@pytest.fixture(scope="session")
def own(tmp_path_factory) -> Path:
    """A folder for the weights and clean files of our own networks, each made once."""
    return tmp_path_factory.mktemp("own")


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

"""What nvcc makes of a detector's kernels, by its own reports: spills, vector loads."""

import re
import subprocess

import pytest

from tests.marks import slow_but
from tests.plugins.host_detection import DETECTION
from tests.plugins.test_kernel_compiled import cuobjdump, nvcc

ARCHITECTURES = (75, 80, 90, 120)
KERNELS = {"align": 6, "nms": 3}
"""Of align.cu one for each element type and unit, of nms.cu the three in turn."""
CELLS = [(arch, name) for arch in ARCHITECTURES for name in KERNELS]


@pytest.fixture(scope="session")
def cubin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detection_cubin")

    def build(arch: int, name: str):
        path = folder / f"{name}.{arch}.cubin"
        report = path.with_suffix(".txt")
        if not path.exists():
            command = [
                *(nvcc(), "-std=c++17", "-O3", f"-arch=sm_{arch}", "-Xptxas", "-v"),
                *("-Werror", "all-warnings", "-cubin", DETECTION / f"{name}.cu", "-o", path),
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            report.write_text(done.stderr)
        return path, report.read_text()

    return build


@pytest.mark.parametrize("cell", slow_but([(90, "align"), (90, "nms")], CELLS))
def test_no_kernel_spills(cubin, cell):
    arch, name = cell
    _, report = cubin(arch, name)
    spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", report)
    assert len(spills) == KERNELS[name], "kernels in the report"
    assert set(spills) == {("0", "0")}


@pytest.mark.parametrize("arch", slow_but([90], ARCHITECTURES))
def test_vectors_are_read_and_written_whole(cubin, arch):
    path, _ = cubin(arch, "align")
    done = subprocess.run([cuobjdump(), "-sass", path], capture_output=True, text=True, check=True)
    parts = re.split(r"Function : (\S+)", done.stdout)[1:]
    code = {n: body for n, body in zip(parts[::2], parts[1::2], strict=True) if "Vector" in n}
    assert len(code) == 3
    for body in code.values():
        assert len(re.findall(r"LDG\.E\.\S*128", body)) >= 2
        assert re.findall(r"STG\.E\.\S*128", body)


@pytest.mark.parametrize("arch", slow_but([90], ARCHITECTURES))
def test_what_decides_is_not_drawn_into_an_fma(cubin, arch):
    """An overlap's areas and their sum are rounded one by one, as on the host."""
    path, _ = cubin(arch, "nms")
    done = subprocess.run([cuobjdump(), "-sass", path], capture_output=True, text=True, check=True)
    parts = re.split(r"Function : (\S+)", done.stdout)[1:]
    (body,) = [b for n, b in zip(parts[::2], parts[1::2], strict=True) if "NmsOverlaps" in n]
    assert len(re.findall(r"\bFMUL\b", body)) >= 3

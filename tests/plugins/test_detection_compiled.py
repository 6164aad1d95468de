"""What nvcc makes of a detector's kernels, by its own reports: spills, vector loads."""

import re
import subprocess

import pytest

from tests.marks import slow_but
from tests.plugins.host_detection import DETECTION
from tests.plugins.test_kernel_compiled import nvcc

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
        return report.read_text()

    return build


@pytest.mark.parametrize("cell", slow_but([(90, "align"), (90, "nms")], CELLS))
def test_no_kernel_spills(cubin, cell):
    arch, name = cell
    report = cubin(arch, name)
    spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", report)
    assert len(spills) == KERNELS[name], "kernels in the report"
    assert set(spills) == {("0", "0")}


def entries(folder, name: str) -> dict[str, str]:
    """Give the PTX of each kernel by its mangled name."""
    path = folder / f"{name}.ptx"
    command = [nvcc(), "-std=c++17", "-O3", "-arch=compute_75", "-ptx", DETECTION / f"{name}.cu"]
    subprocess.run([*command, "-o", path], check=True)
    parts = re.split(r"\.entry (\w+)\(", path.read_text())[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_vectors_are_read_and_written_whole(tmp_path):
    code = {name: body for name, body in entries(tmp_path, "align").items() if "Vector" in name}
    assert len(code) == 3
    for body in code.values():
        assert len(re.findall(r"ld\.global\.nc\.v4", body)) >= 2
        assert re.findall(r"st\.global\.v4", body)


def test_what_decides_is_not_drawn_into_an_fma(tmp_path):
    """An overlap's areas and their sum are rounded one by one, as on the host."""
    (body,) = [b for name, b in entries(tmp_path, "nms").items() if "NmsOverlaps" in name]
    assert len(re.findall(r"mul\.rn\.f32", body)) >= 3
    assert "div.rn.f32" in body
    assert "fma" not in body

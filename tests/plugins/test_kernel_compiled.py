"""What nvcc makes of the kernels, by its own reports: spills, vector loads and stores, size."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.plugins.host_kernel import ELEMENTS, KERNEL

ARCHITECTURES = (75, 80, 86, 87, 89, 90, 100, 103, 110, 120)
PTX = (75, 120)
VECTORS = {  # The 16-byte loads, and stores, that each kernel unrolls to at least.
    "PlaneGroup": 1,
    "PlaneByWarp": 4,
    "PlaneByBlock": 7,
    "PlaneApply": 4,
    "TileBody_8_2": 2,
    "TileBody_8_7": 7,
    "TileBody_4_13": 13,
    "TileApply_4_4": 4,
}
EVERY = [(arch, dtype) for arch in (80, 90, 120) for dtype in ELEMENTS]
QUICK = (90, "float16")
CELLS = [c if c == QUICK else pytest.param(*c, marks=pytest.mark.slow) for c in EVERY]


def nvcc() -> str:
    found = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if found is None:
        pytest.skip("no nvcc: what it makes of the kernels cannot be read")
    return found


def cuobjdump() -> str:
    """The CUDA toolkit's, or what the wheels nvidia-cuda-cuobjdump and triton carry."""
    packages = Path(sysconfig.get_path("purelib"))
    places = (
        "/usr/local/cuda/bin/cuobjdump",
        *map(str, packages.glob("nvidia/*/bin/cuobjdump")),
        str(packages / "triton/backends/nvidia/bin/cuobjdump"),
    )
    for place in ("cuobjdump", *places):
        found = shutil.which(place)
        if found is not None:
            return found
    pytest.skip("no cuobjdump: pip install nvidia-cuda-cuobjdump, or the CUDA toolkit")


def source(dtype: str) -> Path:
    return KERNEL / f"{ELEMENTS[dtype].lower()}.cu"


@pytest.fixture(scope="session")
def cubin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cubin")

    def build(arch: int, dtype: str) -> tuple[Path, str]:
        path = folder / f"{dtype}.{arch}.cubin"
        report = path.with_suffix(".txt")
        if not path.exists():
            done = subprocess.run(
                [
                    *(nvcc(), "-std=c++17", "-O3", f"-arch=sm_{arch}", "-Xptxas", "-v"),
                    *("-Werror", "all-warnings", "-cubin", source(dtype), "-o", path),
                ],
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            report.write_text(done.stderr)
        return path, report.read_text()

    return build


def kernel_name(mangled: str) -> str:
    body = re.search(r"\d(Plane[A-Za-z]+?|Tile[A-Z][a-z]+)I", mangled)
    assert body is not None, mangled
    sizes = re.findall(r"Li(\d+)E", mangled)
    return "_".join([body[1], *sizes]) + ("_scalar" if "Scalar" in mangled else "")


@pytest.mark.parametrize(("arch", "dtype"), CELLS)
def test_no_kernel_spills(cubin, arch, dtype):
    _, report = cubin(arch, dtype)
    spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", report)
    assert len(spills) == 13, "kernels in the report"
    assert set(spills) == {("0", "0")}


@pytest.mark.parametrize(("arch", "dtype"), CELLS)
def test_loads_and_stores_are_of_16_bytes(cubin, arch, dtype):
    path, _ = cubin(arch, dtype)
    done = subprocess.run([cuobjdump(), "-sass", path], capture_output=True, text=True, check=True)
    parts = re.split(r"Function : (\S+)", done.stdout)[1:]
    code = {kernel_name(n): body for n, body in zip(parts[::2], parts[1::2], strict=True)}
    for name, least in VECTORS.items():
        assert len(re.findall(r"LDG\.E\.\S*128", code[name])) >= least, name
        assert len(re.findall(r"STG\.E\.\S*128", code[name])) >= least, name
        narrow = re.findall(r"STG\.E(?:\.64)? ", code[name])  # Edges are of 16 bits, or float's 32.
        assert dtype == "float32" or not narrow, f"{name}: a vector's store came apart"
        assert not re.findall(r"\b(LDL|STL)\b", code[name]), name


@pytest.mark.slow
def test_all_architectures_fit_in_3_mb(tmp_path):
    """Without the CUDA runtime, whose static library adds 0.73 MB to whatever links it."""
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES]
    targets += [f"-gencode=arch=compute_{a},code=compute_{a}" for a in PTX]
    sources = sorted([*KERNEL.glob("*.cu"), *KERNEL.glob("*.cpp")])
    library = tmp_path / "libsimam_kernel.so"
    options = ["-std=c++17", "-O3", "--compress-mode=size", "-Werror", "all-warnings"]
    link = ["-Xcompiler", "-fPIC", "-shared", "-cudart", "shared", "-Xlinker", "-s"]
    subprocess.run([nvcc(), *options, *link, *targets, *sources, "-o", library], check=True)
    assert library.stat().st_size < 3e6

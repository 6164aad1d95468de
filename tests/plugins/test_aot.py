"""The kernels of ahead-of-time plugins: their arithmetic, and the PTX that plans carry."""

import ctypes
import functools
import re
import shutil
import struct
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from simam_deploy.engine.build import aot
from simam_deploy.errors import EngineError
from simam_deploy.op import contract
from simam_deploy.op.torch.parameters import LAYOUTS as LAYOUT_NUMBERS
from tests.plugins.host_kernel import DTYPES, PLUGIN, Case, HostKernel, draw
from tests.plugins.test_kernel_compiled import ARCHITECTURES
from tests.plugins.test_kernel_host import assert_close

SHAPES = (
    (3, 37, 2, 1),
    (5, 67, 7, 7),
    (2, 33, 8, 8),
    (1, 19, 14, 14),
    (1, 5, 17, 19),
    (2, 35, 31, 29),
    (1, 3, 57, 57),
    (1, 2, 97, 131),
    (1, 2, 149, 149),
)
"""Groups of both widths; planes and tiles that a block holds, and just beyond in each type."""

OFFERED = [(dtype, "nchw") for dtype in DTYPES] + [("float16", "nhwc"), ("bfloat16", "nhwc")]


class Size(int):
    """A dimension as `tensorrt.plugin.ShapeExpr` has it, with its value known."""

    is_constant = True

    def constant_value(self):
        return int(self)


class FreeSize(Size):
    is_constant = False


NUMBERS = SimpleNamespace(
    cdiv=lambda a, b: -(-a // b),
    max=max,
    KernelLaunchParams=SimpleNamespace,
    SymInt32=int,
    SymIntExprs=lambda count: [None] * count,
)
"""`tensorrt.plugin` as far as the launch goes; tests/engine/build/test_aot.py has the real one."""


class WholeKernel(HostKernel):
    """Runs the bodies of plugins/simam/aot on the blocks that the launch parameters say."""

    size = Size
    blocks = 0

    def launch(self, case, params):
        layout = "LINEAR" if case.layout == "nchw" else "HWC8"
        shape = [self.size(value) for value in case.shape]
        x = SimpleNamespace(shape_expr=shape, format=SimpleNamespace(name=layout))
        launch, arguments = aot.geometry(NUMBERS, x)
        assert arguments == [*case.shape[:2], case.hw]
        run = self.library.simam_host_run_whole
        run.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int64]
        number = LAYOUT_NUMBERS[case.layout]
        self.blocks = launch.grid_x
        assert run(ctypes.addressof(params), number, launch.grid_x) == 0


@pytest.fixture(scope="session")
def kernels(kernels):
    return functools.cache(lambda dtype: WholeKernel(kernels(dtype).library, dtype))


@pytest.mark.parametrize(
    ("dtype", "layout", "size"),
    [(*o, Size) for o in OFFERED] + [(dtype, "nchw", FreeSize) for dtype in DTYPES],
)
def test_matches_the_reference_over_the_shapes(kernels, dtype, layout, size):
    kernel = kernels(dtype)
    kernel.size = size
    for shape in SHAPES:
        for epilogue in ("none", "affine", "residual"):
            case = Case(shape, kernel.dtype, layout, layout == "nhwc", epilogue)
            inputs = draw(case)
            assert_close(case, inputs, kernel.run(case, inputs))


@pytest.mark.parametrize("shape", [(2, 67, 7, 7), (1, 33, 8, 8), (3, 40, 9, 9), (9, 17, 16, 16)])
def test_small_planes_are_grouped_as_the_library_groups_them(kernels, shape):
    x = SimpleNamespace(
        shape_expr=[Size(value) for value in shape], format=SimpleNamespace(name="LINEAR")
    )
    launch, _ = aot.geometry(NUMBERS, x)
    choice = kernels("float16").choose(Case(shape, "float16"))
    assert (launch.grid_x, launch.block_x) == (choice.blocks, choice.threads)


@pytest.mark.parametrize(("dtype", "layout"), OFFERED)
def test_an_empty_batch_is_a_launch_that_cuda_takes(kernels, dtype, layout):
    kernel = kernels(dtype)
    case = Case((0, 5, 17, 19), dtype, layout, layout == "nhwc")
    assert kernel.run(case, draw(case)).shape == (0, 5, 17, 19)
    assert kernel.blocks == 1


def test_the_entries_name_their_arguments_in_that_order():
    """The PTX tells n, c and hw only by their place."""
    source = " ".join((PLUGIN / "aot" / "entries.cu").read_text().replace("\\", " ").split())
    found = dict(re.findall(r" (\w+)_##SUFFIX\(([^)]*)\)", source))
    named = {name: re.findall(r"(\w+)(?:,|$)", text) for name, text in found.items()}
    assert named == {
        name: [*inputs, "n", "c", "hw", "y"] for name, inputs in contract.INPUTS.items()
    }


def parameters(entry: str) -> list[str]:
    return re.findall(r"\.param \.(\w+) \w+_param_\d+", entry.split(")")[0])


@pytest.mark.parametrize("entry", aot.entries())
def test_an_entry_takes_what_tensorrt_passes(aot_ptx, entry):
    """A pointer an input, then the int32 extras n, c and hw, then a pointer for the output."""
    cut = aot.cut_entry(aot_ptx.read_text(), entry)
    inputs = contract.INPUTS[entry.split("_")[0]]
    assert re.findall(r"\.entry (\w+)\(", cut) == [entry]
    assert parameters(cut) == ["u64"] * len(inputs) + ["u32"] * 3 + ["u64"]
    assert re.findall(r"\.maxntid (\d+), 1, 1", cut) == [str(aot.THREADS)]


def test_attributes_become_constants(aot_ptx):
    values = {"e_lambda": 1e-4, "clip_min": -0.5, "clip_max": 6.0}
    cut = aot.cut_entry(aot_ptx.read_text(), "SimAMEpilogue_FP16_LINEAR")
    text = aot.set_constants(cut, values)
    for name, value in values.items():
        bits = re.findall(rf"\.f32 {name} = 0f([0-9A-F]{{8}});", text)
        assert [struct.unpack(">f", bytes.fromhex(b))[0] for b in bits] == [np.float32(value)]
        assert re.search(rf"ld\.const\.\S+\s+\S+, \[{name}\]|\[{name}\+", text), "is read"


@pytest.mark.parametrize(
    "arch",
    [a if a in (75, 90) else pytest.param(a, marks=pytest.mark.slow) for a in ARCHITECTURES],
)
def test_every_entry_assembles_without_spills(aot_ptx, tmp_path, arch):
    ptxas = shutil.which("ptxas") or shutil.which("/usr/local/cuda/bin/ptxas")
    if ptxas is None:
        pytest.skip("no ptxas: whether the PTX assembles cannot be seen")
    for entry in aot.entries():
        one = tmp_path / "one.ptx"
        cut = aot.cut_entry(aot_ptx.read_text(), entry)
        one.write_text(aot.set_constants(cut, {"e_lambda": 1e-4}))
        command = [ptxas, "-v", f"-arch=sm_{arch}", one, "-o", tmp_path / "one.cubin"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert re.findall(r"(\d+) bytes spill stores", done.stderr) == ["0"], entry


def test_what_is_not_there_is_named():
    with pytest.raises(EngineError, match="no entry SimAM_FP16_LINEAR"):
        aot.cut_entry(".version 9.0\n.visible .entry SimAM_FP16_LINEAR2(\n)", "SimAM_FP16_LINEAR")
    with pytest.raises(EngineError, match="no constant e_lambda"):
        aot.set_constants(".const .align 4 .f32 e_lambda2;", {"e_lambda": 1e-4})

"""The kernel's bodies on the host: against float64, at the edges of memory, with planted faults."""

import mmap
import shutil
from dataclasses import replace

import numpy as np
import pytest

from simam_deploy.op.contract import simam_reference
from simam_deploy.op.torch.parameters import Tensors
from tests.marks import slow_but
from tests.plugins.host_kernel import (
    DTYPES,
    KERNEL,
    METHODS,
    Case,
    Device,
    HostKernel,
    Inputs,
    build_host,
    draw,
    reference,
)

TOLERANCES = {"float32": 2e-6, "float16": 6e-4, "bfloat16": 4.2e-3}
"""Of the result, for |mean| / std <= 10: kernel.md's claims. Half an ulp is 4.9e-4 and 3.9e-3."""
SUBNORMAL = {"float32": 0.0, "float16": 2.0**-25, "bfloat16": 0.0}

SMALL = Device(multiprocessors=8, clusters=False)
LARGE = Device(multiprocessors=8, clusters=True)
LAYOUTS = (("nchw", False), ("nhwc", False), ("nhwc", True))
SHAPES = (
    (3, 37, 2, 1),
    (2, 67, 7, 7),
    (1, 12, 8, 8),
    (1, 19, 14, 14),
    (1, 5, 17, 19),
    (1, 3, 28, 28),
    (1, 9, 31, 29),
    (1, 3, 57, 57),
)


@pytest.fixture(params=DTYPES)
def kernel(request, kernels) -> HostKernel:
    return kernels(request.param)


@pytest.fixture
def float_kernel(kernels) -> HostKernel:
    return kernels("float32")


@pytest.fixture
def half_kernel(kernels) -> HostKernel:
    return kernels("float16")


def assert_close(case: Case, inputs: Inputs, z: np.ndarray) -> None:
    want = reference(case, inputs)
    assert np.isfinite(z).all(), f"{np.count_nonzero(~np.isfinite(z))} not finite"
    bound = TOLERANCES[case.dtype] * np.abs(want) + SUBNORMAL[case.dtype]
    if case.epilogue != "none":  # Where summands cancel, float32's rounding of each remains.
        scale, bias = (np.abs(v).reshape(-1, 1, 1) for v in (inputs.scale, inputs.bias))
        summands = np.abs(simam_reference(inputs.x, case.e_lambda)) * scale + bias
        if case.epilogue == "residual":
            summands = summands + np.abs(inputs.residual.astype(np.float64))
        bound = bound + 2e-6 * summands
    excess = np.abs(z - want) - bound
    assert (excess <= 0).all(), f"{case}: off by {excess.max():.2e} beyond the tolerance"


def matrix(dtype: str) -> list[Case]:
    return [
        Case(shape, dtype, layout, padded, epilogue, device)
        for shape in SHAPES
        for layout, padded in LAYOUTS
        for epilogue in ("none", "affine", "residual")
        for device in (SMALL, LARGE)
    ]


def test_matches_the_reference_over_the_matrix(kernel):
    kernel.methods.clear()
    for case in matrix(kernel.dtype):
        inputs = draw(case)
        assert_close(case, inputs, kernel.run(case, inputs))
    large = Case((1, 2, 200, 334), kernel.dtype, epilogue="residual", device=SMALL)
    inputs = draw(large)
    assert_close(large, inputs, kernel.run(large, inputs))
    assert kernel.methods == set(METHODS) - {"nothing"}, "the matrix misses a method"


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1, 1024, 1024), (1, 1, 1023, 1021), (2, 3, 224, 224)])
@pytest.mark.parametrize(("layout", "padded"), LAYOUTS)
@pytest.mark.parametrize("device", [SMALL, Device()])
def test_matches_the_reference_on_large_planes(kernel, shape, layout, padded, device):
    case = Case(shape, kernel.dtype, layout, padded, "residual", device)
    inputs = draw(case)
    assert_close(case, inputs, kernel.run(case, inputs))


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("mean", [0.0, 1.0, 10.0])
def test_the_claim_holds_with_the_worst_approximations(kernel, mean, sign):
    for layout, padded in LAYOUTS:
        case = Case((1, 9, 31, 29), kernel.dtype, layout, padded)
        inputs = draw(case, mean)
        with kernel.worst_approximations(sign):
            assert_close(case, inputs, kernel.run(case, inputs))


@pytest.mark.parametrize(("mean", "worst"), [(100.0, 2e-5), (1000.0, 2e-4)])
def test_beyond_the_claim_the_error_grows_with_mean_over_std(float_kernel, mean, worst):
    for layout, padded in LAYOUTS:
        case = Case((1, 9, 31, 29), "float32", layout, padded)
        inputs = draw(case, mean)
        want = reference(case, inputs)
        assert (np.abs(float_kernel.run(case, inputs) - want) <= worst * np.abs(want)).all()


@pytest.mark.parametrize("outlier", [1e4, -6e4])
def test_an_outlier_anywhere_spoils_nothing(kernel, outlier):
    """A shift by the first pixel would lose the plane's variance to it."""
    for layout, padded in LAYOUTS:
        for at in (0, -1):
            case = Case((1, 9, 31, 29), kernel.dtype, layout, padded)
            inputs = draw(case)
            inputs.x.reshape(1, 9, -1)[:, :, at] = outlier
            assert_close(case, inputs, kernel.run(case, inputs))


def test_half_does_not_overflow(kernel):
    """Naive half does at a plane's std of 5 on 112x112; float32 holds sums of 60000 squared."""
    for layout, padded in LAYOUTS:
        case = Case((1, 8, 56, 56), kernel.dtype, layout, padded)
        inputs = draw(case, std=1e4)
        assert_close(case, inputs, kernel.run(case, inputs))


def test_a_constant_plane_has_the_least_gate(kernel):
    for layout, padded in LAYOUTS:
        case = Case((1, 9, 31, 29), kernel.dtype, layout, padded)
        inputs = draw(case, mean=3.0, std=0.0)
        assert_close(case, inputs, kernel.run(case, inputs))


def test_nan_stays_in_its_plane_and_passes_the_clip(kernel):
    for shape in SHAPES[1:]:
        for layout, padded in LAYOUTS:
            case = Case(shape, kernel.dtype, layout, padded, "affine", SMALL)
            inputs = draw(case)
            inputs.x[0, 1, 0, 0] = np.nan
            z = kernel.run(case, inputs)
            assert np.isnan(z[0, 1]).all()
            z[0, 1] = 0.0
            assert np.isfinite(z).all()


@pytest.mark.parametrize(("layout", "padded"), LAYOUTS)
def test_one_pixel_divides_by_zero(kernel, layout, padded):
    case = Case((2, 19, 1, 1), kernel.dtype, layout, padded)
    assert np.isnan(kernel.run(case, draw(case))).all()


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4)])
@pytest.mark.parametrize(("layout", "padded"), LAYOUTS)
def test_an_empty_tensor_runs_nothing(kernel, shape, layout, padded):
    case = Case(shape, kernel.dtype, layout, padded)
    assert kernel.choose(case).blocks == 0
    assert kernel.partials(case) == 0
    assert kernel.run(case, draw(case)).size == 0


# Where x and y are larger than 2^31 elements: anonymous memory of which a few pages are touched.
HUGE = {
    "group": Case((1100, 40000, 7, 7), "float16"),
    "warp": Case((40, 70000, 28, 28), "float16"),
    "block": Case((11, 65537, 57, 57), "float16"),
    "split plane": Case((1, 2100, 1024, 1024), "float16", device=SMALL),
    "small tile": Case((1100, 40001, 7, 7), "float16", "nhwc", padded=True),
    "tile": Case((220, 50001, 14, 14), "float16", "nhwc", padded=True),
    "narrow tile": Case((44, 70001, 28, 28), "float16", "nhwc", padded=True, device=SMALL),
    "split tile": Case((70, 1001, 181, 181), "float16", "nhwc", padded=True, device=SMALL),
    "scalar tile": Case((1100, 40001, 7, 7), "float16", "nhwc"),
}


@pytest.mark.parametrize("method", HUGE)
def test_the_last_planes_of_a_huge_tensor(half_kernel, method):
    case = HUGE[method]
    n, _, h, w = case.shape
    choice = half_kernel.choose(case)
    assert METHODS[choice.method] == method
    elements = n * case.pitch * case.hw
    assert elements > 2**31
    x, y = (np.frombuffer(mmap.mmap(-1, elements * 2 + 16), np.float16) for _ in range(2))
    planes = last_planes(case, x)
    drawn = np.random.default_rng(0).standard_normal(planes.shape).astype(np.float16)
    planes[:] = drawn
    clusters = choice.blocks // choice.cluster
    tensors = Tensors(x.ctypes.data, y.ctypes.data)
    with half_kernel.only_clusters(clusters - choice.slices, clusters):
        half_kernel.launch(case, half_kernel.params(case, tensors))
    want = simam_reference(drawn.reshape(1, -1, h, w), case.e_lambda).reshape(drawn.shape)
    got = last_planes(case, y).astype(np.float64)
    assert (np.abs(got - want) <= 6e-4 * np.abs(want) + 2.0**-25).all()


def last_planes(case: Case, memory: np.ndarray) -> np.ndarray:
    """A view of the last plane, (1, H*W), whatever the layout."""
    n, c = case.shape[:2]
    elements = n * case.pitch * case.hw
    if case.layout == "nchw":
        return memory[elements - case.hw : elements].reshape(1, -1)
    image = memory[elements - case.pitch * case.hw : elements].reshape(case.hw, case.pitch)
    return image[:, c - 1].reshape(1, -1)


def test_a_workspace_for_the_largest_shape_serves_the_smaller(kernel):
    for layout, padded in LAYOUTS:
        sides = [Case((8, 24, s, s), kernel.dtype, layout, padded) for s in (8, 30, 56, 200, 1024)]
        counts = [kernel.partials(case) for case in sides]
        assert counts == sorted(counts)
        assert counts[-1] > 0
        fewer = replace(sides[-1], shape=(4, 24, 1024, 1024))
        assert kernel.partials(fewer) <= counts[-1]


FAULTS = {
    "no x": {"x": None},
    "no y": {"y": None},
    "x off 16 bytes": {"x": 0x1008},
    "y off 16 bytes": {"y": 0x2002},
    "residual off 16 bytes": {"residual": 0x3004},
    "scale without bias": {"scale": 0x4000},
    "bias without scale": {"bias": 0x4000},
    "negative n": {"n": -1},
    "hw of 2^30": {"hw": 2**30},
    "lambda negative": {"e_lambda": -1e-4},
    "lambda infinite": {"e_lambda": np.inf},
    "lambda not a number": {"e_lambda": np.nan},
    "bounds crossed": {"clip_min": 1.0, "clip_max": 0.0},
    "a bound not a number": {"clip_min": np.nan},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refuses(float_kernel, fault):
    params = float_kernel.params(Case((1, 8, 7, 7)), Tensors(0x1000, 0x2000))
    assert float_kernel.is_valid(params)
    for name, value in FAULTS[fault].items():
        setattr(params, name, value)
    assert not float_kernel.is_valid(params)


@pytest.mark.parametrize(("pitch", "accepted"), [(9, True), (16, True), (8, False), (24, False)])
def test_refuses_other_pitches(float_kernel, pitch, accepted):
    params = float_kernel.params(Case((1, 9, 7, 7)), Tensors(0x1000, 0x2000))
    params.pitch = pitch
    assert float_kernel.is_valid(params, "nhwc") == accepted


def test_refuses_a_split_without_a_workspace(float_kernel):
    params = float_kernel.params(Case((1, 1, 300, 300)), Tensors(0x1000, 0x2000))
    assert float_kernel.is_valid(params, workspace=0x3000)
    assert not float_kernel.is_valid(params, workspace=None)
    assert not float_kernel.is_valid(params, workspace=0x3008)


MUTANTS = {
    "n - 1 -> n": ("formula.h", "moments.count - 1.f", "moments.count"),
    "lambda dropped": ("formula.h", "rsqrt(variance + lambda)", "rsqrt(variance)"),
    "half dropped": ("formula.h", "kHalfLog2E = 0.721347520444482f", "kHalfLog2E = 0.f"),
    "tail dropped": ("plane.h", "tail = (hw - head) % width", "tail = 0"),
    "edges not summed": ("plane.h", "total = edge;", "total = 0.f;"),
    "group's tail dropped": ("plane_group.h", "if (tail < elements) to[tail] = from[tail];", ""),
    "residual skipped": ("formula.h", "? z + residual : z", "? z : z"),
    "scale of the wrong channel": ("formula.h", "index % params.c;", "(index + 1) % params.c;"),
    "clip missed": (
        "formula.h",
        "Thread::clamp(adds<kEpilogue>(params) ? z + residual : z, params.clipMin,",
        "Thread::clamp(adds<kEpilogue>(params) ? z + residual : z, -1e9f + 0 * params.clipMin,",
    ),
    "padding kept": ("tile.h", "if (slice.channel + kWidth > params.c) clear", "if (false) clear"),
    "a slice's mean lost": ("formula.h", "+ cut.count(i) * step * step", ""),
    "a chunk's mean lost": ("formula.h", "+ step * step * one.count * share", ""),
}


@pytest.mark.parametrize("name", slow_but(list(MUTANTS)[::2], MUTANTS))
def test_mutants_are_caught(tmp_path, name):
    file, old, new = MUTANTS[name]
    kernel = tmp_path / "kernel"
    shutil.copytree(KERNEL, kernel)
    source = (kernel / file).read_text()
    assert old in source
    (kernel / file).write_text(source.replace(old, new))
    mutant = build_host(tmp_path, "float32", "-O0", "-w", kernel=kernel)
    assert any(differs(mutant, case) for case in mutant_cases())


def test_without_a_mutation_none_is_caught(float_kernel):
    assert not any(differs(float_kernel, case) for case in mutant_cases())


def mutant_cases() -> list[Case]:
    shapes = ((1, 11, 7, 7), (1, 3, 17, 19), (1, 3, 33, 33), (1, 3, 57, 57))
    return [
        Case(shape, "float32", layout, padded, epilogue, device)
        for shape in shapes
        for layout, padded in (("nchw", False), ("nhwc", True))
        for epilogue in ("none", "residual")
        for device in (SMALL, LARGE)
    ]


def differs(mutant: HostKernel, case: Case) -> bool:
    inputs = draw(case, std=0.05)  # lambda is 4 % of the variance: planted to be seen.
    try:
        assert_close(case, inputs, mutant.run(case, inputs))
    except AssertionError:
        return True
    return False

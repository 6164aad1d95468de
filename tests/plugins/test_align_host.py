"""MultilevelRoIAlign's kernel on the host: against a naive reference, with planted faults."""

import functools
from collections.abc import Callable

import numpy as np
import pytest

from bench.detection_library import AlignParams, Level
from tests.marks import slow_but
from tests.plugins.host_detection import (
    AlignCase,
    F,
    HostDetection,
    align_reference,
    build_mutant,
    fails,
)
from tests.plugins.host_kernel import DTYPES

ROUNDING = {"float32": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Half an ulp of the result, of its size."""
SUMMED = 1e-6
"""What float32's sums are off by, of a map's largest value: 1.4e-7 was seen."""
SUBNORMAL = 2.0**-25

LAYOUTS = (
    ("nchw", "nchw", False),
    ("nhwc", "nhwc", False),
    ("nhwc", "nhwc", True),
    ("nhwc", "nchw", False),
    ("nhwc", "nchw", True),
)
EXTENT = (160, 96)
"""Width and height of the image: maps of 24x40, 12x20, 6x10 and 3x5 pixels."""

ROIS = {
    "inside": (10.3, 7.9, 73.1, 60.2),
    "on pixels": (8, 8, 64, 64),
    "half a bin": (10, 10, 24, 24),
    "whole image": (0, 0, *EXTENT),
    "under a pixel": (31.2, 14.7, 31.9, 15.1),
    "a thousandth": (80, 40, 80.001, 40.001),
    "a billionth, which is nothing half a pixel further": (0, 0, 1e-9, 1e-9),
    "over the left and upper edge": (-30, -25, 20, 15),
    "over the right and lower edge": (140, 80, 200, 130),
    "first sample at -1": (-7, -7, 21, 21),
    "outside": (400, 300, 460, 350),
    "outside on one side": (20, -300, 90, -200),
    "ten times the image": (-800, -500, 800, 460),
    "wide": (-4, 40, 164, 41),
    "high": (77, -8, 77.5, 100),
    "no width": (20, 20, 20, 60),
    "no height": (20, 20, 60, 20),
    "width below 0": (60, 20, 20, 60),
    "both below 0": (60, 60, 20, 20),
    "level 1 from here": (0, 0, 112, 112),
    "level 0 to here": (0, 0, 111.9, 112),
    "level 2": (-40, -60, 200, 170),
    "level 3": (-200, -190, 280, 270),
}


@functools.cache
def drawn_maps(dtype: str, images: int = 2, channels: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    width, height = EXTENT
    shapes = [(images, channels, height // s, width // s) for s in (4, 8, 16, 32)]
    return [rng.standard_normal(shape).astype(DTYPES[dtype]) for shape in shapes]


def drawn_rois(images: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    corners = rng.uniform(-20, 180, (images, count, 2))
    sizes = np.exp(rng.uniform(np.log(2), np.log(300), (images, count, 2)))
    return np.concatenate([corners, corners + sizes], axis=2).astype(F)


def assert_aligned(case: AlignCase, y: np.ndarray, want: np.ndarray, largest: float) -> None:
    assert np.isfinite(y).all()
    bound = SUMMED * largest + ROUNDING[case.dtype] * np.abs(want) + SUBNORMAL
    excess = np.abs(y - want) - bound
    assert (excess <= 0).all(), f"{case}: off by {excess.max():.2e} beyond the tolerance"


def check_align(host: HostDetection, case: AlignCase, rois, maps=None) -> None:
    maps = maps or drawn_maps(case.dtype, len(rois))
    largest = max(float(np.abs(x.astype(F)).max()) for x in maps)
    want = align_reference(case, rois, maps)
    assert_aligned(case, host.align(case, rois, maps), want, largest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("layout", "result", "padded"), LAYOUTS)
def test_drawn_rois(host, dtype, layout, result, padded):
    case = AlignCase(dtype, layout, result, padded)
    check_align(host, case, drawn_rois(2, 6))


@pytest.mark.parametrize("channels", [1, 8, 16, 67])
@pytest.mark.parametrize(("layout", "result", "padded"), LAYOUTS)
def test_any_number_of_channels(host, channels, layout, result, padded):
    """Of 8 and 16 a pixel is whole vectors; 67 are two blocks a RoI."""
    case = AlignCase("float16", layout, result, padded, bins=2)
    check_align(host, case, drawn_rois(1, 3), drawn_maps("float16", 1, channels))


@pytest.mark.parametrize("name", ROIS)
def test_rois_of_every_kind(host, name):
    rois = np.array([[ROIS[name]]], F)
    for layout in ("nchw", "nhwc"):
        for bins, ratio in ((7, 0), (7, 2), (2, 5), (1, 0)):
            check_align(host, AlignCase(layout=layout, bins=bins, ratio=ratio), rois)


def test_a_roi_without_an_area_is_zero(host):
    for name in ("no width", "no height", "width below 0", "both below 0", "outside"):
        for ratio in (0, 2):
            rois = np.array([[ROIS[name]]], F)
            assert (host.align(AlignCase(ratio=ratio), rois, drawn_maps("float32", 1)) == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("place", range(4))
def test_a_roi_that_is_no_roi_is_zero_and_ends(host, place, value):
    for ratio in (0, 2):
        rois = np.array([[ROIS["inside"], ROIS["inside"]]], F)
        rois[0, 0, place] = value
        y = host.align(AlignCase(ratio=ratio), rois, drawn_maps("float32", 1))
        assert (y[0] == 0).all()
        assert (y[1] != 0).any()


@pytest.mark.parametrize("size", [1e4, 1e6])
def test_a_roi_of_a_million_pixels(host, size):
    """Of 35715 samples a bin 160 lie on the map; the mean is over all."""
    rois = np.array([[(-size / 2, 3, size / 2, 3 + 1e-3)]], F)
    check_align(host, AlignCase(bins=7), rois)


def test_a_bin_of_more_samples_than_a_round_holds(host):
    """4 of 128 bins, 85 of 6: two rounds by two, and three of columns alone."""
    rois = np.array([[(5.0, 6.0, 60.0, 50.0)]], F)
    check_align(host, AlignCase(bins=128, ratio=5), rois, drawn_maps("float32", 1, 1))
    wide = [
        np.random.default_rng(2).standard_normal((1, 2, 2, w)).astype(F) for w in (1250, 9, 5, 3)
    ]
    check_align(host, AlignCase(bins=6), np.array([[(3, 1, 4990, 1.5)]], F), wide)


def test_an_infinite_pixel_stays_where_it_is_read(host):
    """No pixel is read that no sample lies beside: infinity by a weight of 0 is not a number."""
    maps = [x.copy() for x in drawn_maps("float32", 1)]
    maps[0][0, :, 20, 30] = np.inf
    near = np.array([[ROIS["inside"], (110, 70, 140, 90)]], F)
    y = host.align(AlignCase(), near, maps)
    assert np.isfinite(y[0]).all()
    assert np.isposinf(y[1]).any() and not np.isnan(y[1]).any()


def test_no_rois_and_no_images(host):
    for shape in ((2, 0, 4), (0, 3, 4)):
        y = host.align(AlignCase(), np.zeros(shape, F), drawn_maps("float32"))
        assert y.shape == (0, 5, 7, 7)


def test_the_share_of_a_block_changes_nothing(host):
    """2100 RoIs are a block each, one is two; of one content they have one result."""
    maps = drawn_maps("float32", 1, 64)
    one = np.array([[ROIS["inside"]]], F)
    many = np.repeat(one, 2100, axis=1)
    case = AlignCase(bins=1)
    assert (host.align(case, many, maps) == host.align(case, one, maps)).all()


MUTANTS = {
    "half a pixel": ("product(from, scale) - 0.5f", "product(from, scale)"),
    "samples at the bins' edges": ("static_cast<float>(i) + 0.5f", "static_cast<float>(i)"),
    "a sample less": ("Thread::ceil(bin)", "Thread::ceil(bin - 1.f)"),
    "no sample at all": ("return rows >= 1.f && columns >= 1.f &&", "return"),
    "the map begins a pixel late": ("bin, -1.f, false)", "bin, 0.f, false)"),
    "a sample at -1 is outside": ("bin, -1.f, false)", "bin, -1.f, true)"),
    "a sample at the size is outside": ("(axis.pixels), true)", "(axis.pixels), false)"),
    "the mean of those inside": ("Thread::quotient(1.f, samples)", "0.25f"),
    "the next level": ("(s >= 2.f ? 1 : 0)", "(s > 2.00001f ? 1 : 0)"),
    "x for y": ("params, box[1], box[3], scale", "params, box[0], box[2], scale"),
    "the first image": ("static_cast<uint32_t>(roi) / rois * image", "0 * image"),
    "the first round alone": ("(axis == 0 ? rowRound : columnRound)", "0"),
    "no area needed": ("hasArea && areCounts", "areCounts"),
    "half a group of channels": ("units > 4 ? 4 : units", "4"),
    "the lower pixel twice": ("(low + 1) * axis.stride, share", "low * axis.stride, share"),
}
"""What is put in the place of what."""


@pytest.mark.parametrize("name", slow_but(list(MUTANTS)[::4], MUTANTS))
def test_mutants_are_caught(tmp_path, name):
    assert fails(quick_checks(build_mutant(tmp_path, *MUTANTS[name])))


def test_without_a_mutation_none_is_caught(host):
    assert not fails(quick_checks(host))


def quick_checks(host: HostDetection) -> list[Callable[[], None]]:
    checks = [
        functools.partial(check_align, host, AlignCase(bins=7, ratio=ratio), np.array([[roi]], F))
        for roi in ROIS.values()
        for ratio in (0, 2)
    ]
    checks += [
        functools.partial(check_align, host, AlignCase("float16", *layouts), drawn_rois(2, 3))
        for layouts in LAYOUTS
    ]
    rounds = functools.partial(test_a_bin_of_more_samples_than_a_round_holds, host)
    return [*checks, rounds, functools.partial(test_a_roi_without_an_area_is_zero, host)]


ALIGN_FAULTS = {
    "no rois": {"rois": None},
    "no y": {"y": None},
    "y off 16 bytes": {"y": 0x1008},
    "rois off 16 bytes": {"rois": 0x1004},
    "negative n": {"n": -1},
    "no bins": {"bins": 0},
    "too many bins": {"bins": 129},
    "ratio below 0": {"ratio": -1},
    "ratio too large": {"ratio": 129},
    "finest 0": {"finest": 0.0},
    "finest not a number": {"finest": np.nan},
    "a result in NHWC of maps in NCHW": {"result_layout": 1},
    "another pitch": {"layout": 1, "pitch": 7},
}


def align_params() -> AlignParams:
    levels = [Level(0x1000, 24 >> i, 40 >> i) for i in range(4)]
    return AlignParams(0x2000, (Level * 4)(*levels), 0x3000, 0, 3, 5, 5, 0, 0, 7, 0, 56.0)


@pytest.mark.parametrize("fault", ALIGN_FAULTS)
def test_refuses_to_align(host, fault):
    params = align_params()
    assert host.library.simam_align(params, 0, None) == 0
    for name, value in ({"n": 2} | ALIGN_FAULTS[fault]).items():
        setattr(params, name, value)
    assert host.library.simam_align(params, 0, None) == 1


@pytest.mark.parametrize("fault", ["x", "height", "width"])
def test_refuses_a_map_without_pixels(host, fault):
    params = align_params()
    params.n = 2
    setattr(params.levels[2], fault, 0)
    assert host.library.simam_align(params, 0, None) == 1

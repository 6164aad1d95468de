"""A detector's kernels on the host: against naive references, at the edges, with planted faults."""

import functools
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bench.detection_library import AlignParams, Level, NmsParams
from simam_deploy.op.detection import NOTHING
from tests.marks import slow_but
from tests.plugins.host_detection import (
    DETECTION,
    AlignCase,
    F,
    HostDetection,
    align_reference,
    build_detection,
    nms_reference,
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


@pytest.fixture(scope="session")
def host(tmp_path_factory) -> HostDetection:
    return build_detection(tmp_path_factory.mktemp("detection"))


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
    wide = [np.random.default_rng(2).standard_normal((1, 2, 2, w)).astype(F) for w in (1250, 9, 5, 3)]
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


def drawn_boxes(batch: int, count: int, side: float = 60.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 100, (batch, count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, side, (batch, count, 2))], 2).astype(F)


def nms_cases() -> Iterator[tuple[str, tuple[np.ndarray, ...], float, int]]:
    """Names, boxes, scores and groups, a threshold and the count of groups."""
    rng = np.random.default_rng(3)
    for batch, count, groups in ((1, 1, 1), (2, 63, 1), (1, 64, 3), (3, 65, 2), (1, 300, 7)):
        scores = rng.standard_normal((batch, count)).astype(F)
        of = rng.integers(0, groups, (batch, count))
        yield f"{batch}x{count} drawn", (drawn_boxes(batch, count), scores, of), 0.5, groups
    boxes, scores = drawn_boxes(2, 200), rng.integers(0, 4, (2, 200)).astype(F)
    of = rng.integers(0, 2, (2, 200))
    yield "ties", (boxes, scores, of), 0.3, 2
    yield "all of one score", (boxes, np.zeros((2, 200), F), of), 0.3, 2
    signs = np.where(rng.random((2, 200)) < 0.5, F(0.0), F(-0.0))
    yield "0 and -0 are one score", (boxes, signs, of), 0.3, 2
    few = np.where(rng.random((2, 200)) < 0.5, F(NOTHING), scores)
    yield "half of them nothing", (boxes, few, of), 0.5, 2
    yield "nothing at all", (boxes, np.full((2, 200), NOTHING, F), of), 0.5, 2
    yield "one box 200 times", (np.repeat(boxes[:, :1], 200, 1), scores, of), 0.99, 2
    flat = boxes.copy()
    flat[:, ::2, 2] = flat[:, ::2, 0]
    flat[:, 1::4, 3] = flat[:, 1::4, 1] - 5
    yield "boxes without an area", (flat, scores, of), 0.0, 2
    yield "threshold 0", (boxes, scores, of), 0.0, 2
    yield "threshold 1", (boxes, scores, of), 1.0, 2
    on_grid = np.round(boxes / 10) * 10
    yield "on a grid, half", (on_grid, scores, of), 0.5, 2
    yield "on a grid, a third", (on_grid, scores, of), 1 / 3, 2
    yield "far away", (boxes * F(1e6), scores, of), 0.5, 2
    yield "areas as large as float32 has them", (boxes * F(1e17), scores, of), 0.5, 2
    yield "a chain", chain(150), 0.4, 1
    yield "groups far apart", (boxes, scores, of * 2_000_000_000 + 7), 0.5, 2**31 - 1
    yield "more groups than blocks", (boxes, scores, rng.integers(0, 900, (2, 200))), 0.5, 900


def chain(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each box overlaps the next by half and the second by a fifth: over words every second stays."""
    left = np.arange(count, dtype=F) * 3
    boxes = np.stack([left, 0 * left, left + 9, 0 * left + 10], 1)[None]
    return boxes, -np.arange(count, dtype=F)[None], np.zeros((1, count), np.int64)


NMS_CASES = {name: rest for name, *rest in nms_cases()}


@pytest.mark.parametrize("integer", [np.int64, np.int32])
@pytest.mark.parametrize("name", NMS_CASES)
def test_suppression(host, name, integer):
    (boxes, scores, groups), threshold, group_count = NMS_CASES[name]
    kept = host.nms(boxes, scores, groups.astype(integer), threshold, group_count)
    assert (kept == nms_reference(boxes, scores, groups, threshold)).all()


def test_the_chain_keeps_every_second_box(host):
    boxes, scores, groups = chain(150)
    kept = host.nms(boxes, scores, groups, 0.4)
    assert (kept[0, ::2] == scores[0, ::2]).all()
    assert (kept[0, 1::2] == NOTHING).all()


def test_what_is_no_number_is_no_box_and_suppresses_nothing(host):
    boxes, scores = drawn_boxes(1, 100), np.arange(100, dtype=F)[None]
    groups = np.zeros((1, 100), np.int64)
    spoilt, without = scores.copy(), scores.copy()
    spoilt[0, 90:95], spoilt[0, 95:] = np.nan, -np.inf
    without[0, 90:] = NOTHING
    assert (host.nms(boxes, spoilt, groups) == host.nms(boxes, without, groups)).all()
    spoilt = boxes.copy()
    spoilt[0, 90:, 1] = np.nan
    kept = host.nms(spoilt, scores, groups)
    assert (kept[0, 90:] == scores[0, 90:]).all()
    assert (kept[0, :90] == host.nms(boxes[:, :90], scores[:, :90], groups[:, :90])).all()


@pytest.mark.parametrize("group", [-1, 3, 2**31 - 1, 2**32, -(2**63)])
def test_a_group_that_there_is_not_keeps_nothing(host, group):
    boxes, scores = drawn_boxes(1, 100), np.arange(100, dtype=F)[None]
    groups = np.full((1, 100), 2, np.int64)
    groups[0, 50:] = group
    kept = host.nms(boxes, scores, groups, group_count=3)
    assert (kept[0, 50:] == NOTHING).all()
    assert (kept[:, :50] == nms_reference(boxes[:, :50], scores[:, :50], groups[:, :50])).all()


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_no_boxes(host, shape):
    kept = host.nms(np.zeros((*shape, 4), F), np.zeros(shape, F), np.zeros(shape, np.int64))
    assert kept.shape == shape


@pytest.mark.slow
def test_5000_boxes_of_five_levels(host):
    boxes = drawn_boxes(1, 5000, side=30)
    scores = np.random.default_rng(4).standard_normal((1, 5000)).astype(F)
    groups = np.arange(5000)[None] % 5
    kept = host.nms(boxes, scores, groups, 0.7, 5)
    assert (kept == nms_reference(boxes, scores, groups, 0.7)).all()


@pytest.mark.slow
def test_as_many_boxes_as_there_may_be(host):
    """In one group, on a line: every second one is kept."""
    boxes, scores, groups = chain(16384)
    kept = host.nms(boxes, scores, groups, 0.4)
    assert ((kept[0] > NOTHING) == (np.arange(16384) % 2 == 0)).all()


def test_what_the_workspace_takes(host):
    size = host.library.simam_nms_workspace_size
    assert size(1, 5000) == 5000 * (16 + 4 + 4) + 5000 * 79 * 8
    assert size(3, 100) >= 3 * size(1, 100) - 64
    assert [size(1, count) for count in (0, 16385)] == [0, 0]
    assert size(0, 5) == 0
    assert all(size(2, count) < size(2, count + 1) for count in range(1, 300))


MUTANTS: dict[str, tuple[str, str, str]] = {
    "half a pixel": ("align.h", "Thread::product(from, scale) - 0.5f", "Thread::product(from, scale)"),
    "samples at the bins' edges": ("align.h", "static_cast<float>(i) + 0.5f", "static_cast<float>(i)"),
    "a sample less": ("align.h", "Thread::ceil(bin)", "Thread::ceil(bin - 1.f)"),
    "at least one sample": ("align.h", "return rows >= 1.f && columns >= 1.f &&", "return"),
    "the map ends a pixel early": ("align.h", "countUnder<Thread>(axis, bin, -1.f, false)", "countUnder<Thread>(axis, bin, 0.f, false)"),
    "a sample at -1 is outside": ("align.h", "bin, -1.f, false)", "bin, -1.f, true)"),
    "a sample at the size is outside": ("align.h", "static_cast<float>(axis.pixels), true)", "static_cast<float>(axis.pixels), false)"),
    "the mean of those inside": ("align.h", "Thread::quotient(1.f, samples)", "0.25f"),
    "the next level": ("align.h", "(s >= 2.f ? 1 : 0)", "(s > 2.00001f ? 1 : 0)"),
    "x for y": ("align.h", "axisOf<Thread>(params, box[1], box[3], scale)", "axisOf<Thread>(params, box[0], box[2], scale)"),
    "the first image": ("align.h", "roi / params.r * image", "0 * image"),
    "the first round alone": ("align.h", "(axis == 0 ? rowRound : columnRound)", "0"),
    "no area needed": ("align.h", "hasArea && areCounts", "areCounts"),
    "later of equals": ("nms.h", "other == key && first + k < i", "other == key && first + k > i"),
    "by place alone": ("nms.h", "other < key || (other == key && first + k < i)", "first + k < i"),
    "-0 below 0": ("nms.h", "params.scores[at] == 0.f ? 0.f : params.scores[at]", "params.scores[at]"),
    "groups mixed": ("nms.h", "shared.groups[k] == group &&", "shared.groups[k] != kNoGroup &&"),
    "at the threshold": ("nms.h", "> threshold;", ">= threshold;"),
    "nothing is a box": ("nms.h", "params.scores[at] > kNothing", "params.scores[at] >= kNothing"),
    "a box suppressed suppresses": ("nms.h", "bits |= rows[k * words + w];", "", ),
    "within 64 alone": ("nms.h", "shared.removed[part][w] |= bits;", ""),
    "all that overlap": ("nms.h", "if ((kept >> k & 1) != 0) bits", "bits"),
    "a quarter of the rows": ("nms.h", "part < kParts", "part < 1"),
    "kept within 64": ("nms.h", "~(shared.inside[k] | uint64_t{1} << k)", "~(uint64_t{1} << k)"),
    "union without the common": ("nms.h", " - common;", ";"),
    "one batch entry": ("nms.h", "int64_t const at = stretch.from + ", "int64_t const at = "),
}  # fmt: skip


@pytest.mark.parametrize("name", slow_but(list(MUTANTS)[::4], MUTANTS))
def test_mutants_are_caught(tmp_path, name):
    file, old, new = MUTANTS[name]
    folder = tmp_path / "simam"
    shutil.copytree(DETECTION.parent, folder)
    source = (folder / "detection" / file).read_text()
    assert source.count(old) >= 1
    (folder / "detection" / file).write_text(source.replace(old, new))
    mutant = build_detection(tmp_path, "-O1", "-w", source=folder / "detection")
    assert differs(mutant, "align" if file == "align.h" else "nms")


def differs(mutant: HostDetection, operator: str) -> bool:
    return any(fails(check) for check in quick_checks(mutant)[operator])


def fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except AssertionError:
        return True
    return False


def quick_checks(host: HostDetection) -> dict[str, list[Callable[[], None]]]:
    align = [
        functools.partial(check_align, host, AlignCase(bins=7, ratio=ratio), np.array([[roi]], F))
        for roi in ROIS.values()
        for ratio in (0, 2)
    ]
    align += [
        functools.partial(check_align, host, AlignCase(layout=layout), drawn_rois(2, 3))
        for layout in ("nchw", "nhwc")
    ]
    align.append(functools.partial(test_a_bin_of_more_samples_than_a_round_holds, host))
    align.append(functools.partial(test_a_roi_without_an_area_is_zero, host))
    nms = [functools.partial(test_suppression, host, name, np.int64) for name in NMS_CASES]
    return {"align": align, "nms": nms}


@pytest.mark.parametrize("operator", ["align", "nms"])
def test_without_a_mutation_none_is_caught(host, operator):
    assert not differs(host, operator)


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
NMS_FAULTS = {
    "no boxes": {"boxes": None},
    "boxes off 16 bytes": {"boxes": 0x1008},
    "no scores": {"scores": None},
    "no groups": {"groups": None},
    "no kept": {"kept": None},
    "negative batch": {"batch": -1},
    "too many boxes": {"count": 16385},
    "no group": {"group_count": 0},
    "too many groups": {"group_count": 2**31},
    "threshold below 0": {"threshold": -0.1},
    "threshold above 1": {"threshold": 1.1},
    "threshold not a number": {"threshold": np.nan},
}


def align_params() -> AlignParams:
    levels = [Level(0x1000, 24 >> i, 40 >> i) for i in range(4)]
    return AlignParams(0x2000, (Level * 4)(*levels), 0x3000, 0, 3, 5, 5, 0, 0, 7, 0, 56.0)


def nms_params() -> NmsParams:
    return NmsParams(0x1000, 0x2000, 0x3000, 0x4000, 0, 9, 3, 0.5, True)


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


@pytest.mark.parametrize("fault", NMS_FAULTS)
def test_refuses_to_suppress(host, fault):
    params = nms_params()
    assert host.library.simam_nms(params, None, None) == 0
    for name, value in ({"batch": 2} | NMS_FAULTS[fault]).items():
        setattr(params, name, value)
    assert host.library.simam_nms(params, 0x5000, None) == 1


@pytest.mark.parametrize("workspace", [None, 0x5008])
def test_refuses_to_suppress_without_a_workspace(host, workspace):
    params = nms_params()
    params.batch = 2
    assert host.library.simam_nms(params, workspace, None) == 1

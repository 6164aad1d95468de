"""BatchedNMS's kernels on the host: against a naive reference, with planted faults."""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bench.detection_library import NmsParams
from simam_deploy.op.detection import NOTHING
from tests.marks import slow_but
from tests.plugins.host_detection import (
    F,
    HostDetection,
    build_mutant,
    fails,
    nms_reference,
)


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
    """Each box overlaps the next by half and the one behind by a fifth, over several words."""
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


MUTANTS = {
    "later of equals": ("other == key && first + k < i", "other == key && first + k > i"),
    "by place alone": ("other < key || (other == key && first + k < i)", "first + k < i"),
    "-0 below 0": ("params.scores[at] == 0.f ? 0.f : params.scores[at]", "params.scores[at]"),
    "groups mixed": ("uint64_t{static_cast<uint32_t>(group)} << 32 | ~rising", "~rising"),
    "at the threshold": ("> threshold;", ">= threshold;"),
    "what is no number is a box": (
        "params.scores[at] > kNothing;",
        "!(params.scores[at] <= kNothing);",
    ),
    "within 64 alone": ("shared.removed[part][w] |= bits;", ""),
    "a box suppressed suppresses": ("if ((kept >> k & 1) != 0) bits", "bits"),
    "a quarter of the rows": ("part < kParts", "part < 1"),
    "not within 64": ("~(shared.inside[k] | uint64_t{1} << k)", "~(uint64_t{1} << k)"),
    "union without the common": (" - common;", ";"),
    "one batch entry": ("int64_t const at = stretch.from + ", "int64_t const at = "),
    "the next group missed": ("+ sweepers - 1) / sweepers", "+ sweepers) / sweepers"),
}
"""What is put in the place of what."""


@pytest.mark.parametrize("name", slow_but(list(MUTANTS)[::4], MUTANTS))
def test_mutants_are_caught(tmp_path, name):
    assert fails(quick_checks(build_mutant(tmp_path, *MUTANTS[name])))


def test_without_a_mutation_none_is_caught(host):
    assert not fails(quick_checks(host))


def quick_checks(host: HostDetection) -> list[Callable[[], None]]:
    checks = [functools.partial(test_suppression, host, name, np.int64) for name in NMS_CASES]
    numbers = functools.partial(test_what_is_no_number_is_no_box_and_suppresses_nothing, host)
    return [*checks, numbers]


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


def nms_params() -> NmsParams:
    return NmsParams(0x1000, 0x2000, 0x3000, 0x4000, 0, 9, 3, 0.5, True)


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

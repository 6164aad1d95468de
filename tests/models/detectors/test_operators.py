"""RoIAlign and suppression agree with what their contract says, computed naively."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from simam_deploy.models.detectors.align import level_of
from simam_deploy.models.detectors.operators import batched_nms, multilevel_roi_align
from simam_deploy.op.detection import NOTHING, STRIDES
from tests.models.detectors import naive

HEIGHT, WIDTH = 128, 160
ROIS = {
    "drawn": [[12.3, 7.1, 60.4, 50.9], [80.2, 3.3, 120.7, 99.5], [30.1, 64.2, 47.7, 90.3]],
    "small": [[20.2, 20.3, 21.1, 20.9], [7.9, 100.1, 8.4, 104.3], [159.2, 127.1, 160, 128]],
    "without an area": [[9, 9, 9, 40], [9, 9, 40, 9], [0, 0, 0, 0], [40, 40, 20, 20]],
    "half inverted": [[40, 10, 20, 60], [10, 60, 40, 20], [5, 5, 4.9, 5.1]],
    "elongated": [[0, 60.1, 160, 63.9], [77.5, 0, 79.1, 128], [3, 3, 150, 9]],
    "whole": [[0, 0, 160, 128], [-0.4, -0.7, 160.9, 128.8], [-40, -30, 200, 190]],
    "huge": [[-900, -800, 1000, 900], [-1e4, 40, 1e4, 60], [2, -3e3, 3, 3e3]],
    "outside": [[200, 200, 260, 290], [-90, -70, -30, -20], [161, 20, 171, 40], [-9, 5, -2, 9]],
}
"""RoIs in an image of 128 x 160, of all four levels together."""


def _maps(seed: int, images: int = 1, channels: int = 3) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    shapes = [(images, channels, HEIGHT // stride, WIDTH // stride) for stride in STRIDES]
    return [torch.from_numpy(rng.standard_normal(shape)) for shape in shapes]


def _aligned(rois, maps, size=7, ratio=0, finest=56.0):
    got = multilevel_roi_align(rois, maps, size, ratio, finest).numpy()
    arrays = [level.numpy() for level in maps]
    return got, naive.roi_align(rois.numpy(), arrays, size, ratio, finest)


@pytest.mark.parametrize("kind", ROIS)
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_in_float64(kind: str, ratio: int) -> None:
    rois = torch.tensor([ROIS[kind]], dtype=torch.float64)
    got, wanted = _aligned(rois, _maps(0), ratio=ratio)
    assert np.abs(got - wanted).max() <= 1e-12
    assert wanted.any() == (kind not in ("without an area", "half inverted"))


@pytest.mark.parametrize(("size", "finest"), [(14, 56.0), (1, 56.0), (7, 20.0)])
def test_other_sizes(size: int, finest: float) -> None:
    rois = torch.tensor([ROIS["drawn"] + ROIS["whole"]], dtype=torch.float64)
    got, wanted = _aligned(rois, _maps(1), size=size, finest=finest)
    assert np.abs(got - wanted).max() <= 1e-12


def test_each_image_is_read_from_its_own_maps() -> None:
    rois = torch.tensor([ROIS["drawn"], ROIS["elongated"]], dtype=torch.float64)
    maps = _maps(2, images=2)
    got, wanted = _aligned(rois, maps)
    assert np.abs(got - wanted).max() <= 1e-12
    alone = multilevel_roi_align(rois[1:], [level[1:] for level in maps], 7, 0, 56.0)
    assert np.array_equal(got[3:], alone.numpy())


def test_gradients_of_overlapping_rois_add_up() -> None:
    """Pooling is linear in the maps: what a cotangent pulls back is what it makes of any maps."""
    rois = torch.tensor([ROIS["drawn"] + ROIS["whole"], ROIS["elongated"] * 2])
    rois = rois.double()
    maps, others = _maps(4, images=2), _maps(5, images=2)
    for level in maps:
        level.requires_grad_()
    pooled = multilevel_roi_align(rois, maps, 7, 0, 56.0)
    cotangent = torch.from_numpy(np.random.default_rng(6).standard_normal(pooled.shape))
    pulled = torch.autograd.grad(pooled, maps, cotangent, allow_unused=True)
    terms = [(g * other).sum() for g, other in zip(pulled, others, strict=True) if g is not None]
    wanted = (cotangent * multilevel_roi_align(rois, others, 7, 0, 56.0)).sum()
    assert len(terms) > 1
    assert abs(sum(terms) - wanted) <= 1e-10 * abs(wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_roi_align_of_other_types_computes_in_float32(dtype: torch.dtype) -> None:
    rois = torch.tensor([ROIS["drawn"] + ROIS["elongated"]])
    maps = [level.to(dtype) for level in _maps(3)]
    got = multilevel_roi_align(rois, maps, 7, 0, 56.0)
    assert got.dtype == dtype
    wanted = naive.roi_align(rois.numpy(), [level.double().numpy() for level in maps], 7, 0, 56.0)
    # A weight off by 2e-5 of a pixel, since coordinates of 160 are float32; one rounding of the
    # result, of at most 4, to the maps' type.
    assert np.abs(got.double().numpy() - wanted).max() <= 1e-4 + 2 * torch.finfo(dtype).eps


def test_levels() -> None:
    sides = torch.tensor([1.0, 111.9, 112.0, 223.9, 224.0, 447.9, 448.0, 5000.0])
    rois = torch.stack([sides * 0, sides * 0, sides, sides], 1)
    assert level_of(rois, 56.0).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert level_of(torch.tensor([0, 0, 224.0, 56.0]), 56.0) == 1  # by the area, not by a side
    almost = float(np.nextafter(np.float32(112), 0))  # 1e-6 is added: it is of the next level
    assert level_of(torch.tensor([0, 0, almost, almost]), 56.0) == 1


def _crowd(seed: int, entries: int = 3, count: int = 60, dtype: type = np.float32):
    """Boxes in few places, scores of which many are equal, and holes."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(10, 40, (entries, count, 2))
    size = rng.uniform(5, 25, (entries, count, 2))
    boxes = np.concatenate([middle - size / 2, middle + size / 2], 2).astype(dtype)
    scores = rng.uniform(-3, 3, (entries, count)).round(1).astype(dtype)
    scores[rng.random(scores.shape) < 0.2] = NOTHING
    return boxes, scores, rng.integers(0, 3, (entries, count))


def _kept(boxes, scores, groups, threshold=0.5):
    tensors = [torch.from_numpy(np.asarray(array)) for array in (boxes, scores, groups)]
    return batched_nms(*tensors, threshold, 3).numpy()


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_suppression_is_greedy(threshold: float, dtype: type) -> None:
    boxes, scores, groups = _crowd(int(threshold * 10), dtype=dtype)
    kept = _kept(boxes, scores, groups, threshold)
    assert kept.dtype == dtype
    assert np.array_equal(kept, naive.nms(boxes, scores, groups, threshold))
    assert (kept > NOTHING).sum() < (scores > NOTHING).sum() or threshold == 1


def test_an_overlap_of_the_threshold_is_kept() -> None:
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 5.01]]], np.float32)
    scores = np.array([[3, 2, 1]], np.float32)
    assert _kept(boxes, scores, [[0, 0, 0]])[0].tolist() == pytest.approx([3, 2, NOTHING])


def test_of_equal_scores_the_first_stays() -> None:
    boxes = np.tile(np.float32([0, 0, 10, 10]), (1, 5, 1))
    scores = np.float32([[1, 2, 2, 2, 1]])
    kept = _kept(boxes, scores, [[0, 1, 0, 0, 1]])
    assert kept[0].tolist() == [NOTHING, 2, 2, NOTHING, NOTHING]


def test_a_chain_of_any_length_is_followed() -> None:
    """Each box overlaps the next alone, so every second is kept: 50 rounds."""
    left = np.arange(100, dtype=np.float32) * 3
    boxes = np.stack([left, left * 0, left + 10, left * 0 + 10], 1)[None]
    scores = -np.arange(100, dtype=np.float32)[None]
    kept = _kept(boxes, scores, np.zeros((1, 100), np.int64), 0.5)
    assert ((kept > NOTHING) == (np.arange(100) % 2 == 0)).all()


def test_boxes_without_an_area_overlap_nothing() -> None:
    flat = [[5, 5, 5, 9], [5, 5, 5, 9], [5, 5, 9, 5], [9, 9, 5, 5], [9, 5, 5, 9], [0, 0, 20, 20]]
    boxes, scores = np.float32([flat]), np.float32([[1, 2, 3, 4, 5, 6]])
    assert np.array_equal(_kept(boxes, scores, [[0] * 6], 0.0), scores)


def test_nothing_but_holes_and_a_box_of_the_lowest_score() -> None:
    boxes, scores, groups = _crowd(7)
    scores[:] = NOTHING
    assert (_kept(boxes, scores, groups) == np.float32(NOTHING)).all()
    scores[1, 5] = np.nextafter(np.float32(NOTHING), 0)
    assert np.array_equal(_kept(boxes, scores, groups), scores)


def test_sizes_alone_on_the_meta_device() -> None:
    maps = [level.to("meta") for level in _maps(0, images=2)]
    assert multilevel_roi_align(torch.empty(2, 5, 4, device="meta"), maps, 7, 0, 56.0).shape == (
        10, 3, 7, 7,
    )  # fmt: skip
    scores = torch.empty(2, 5, device="meta")
    assert batched_nms(torch.empty(2, 5, 4, device="meta"), scores, scores.long(), 0.5, 1).is_meta

"""Masks pasted into a picture: mmdetection's own, pixel by pixel, and by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from simam_deploy.detect.masks import Cut, cut_out, paste, runs

DETECTORS = Path(__file__).parents[1] / "golden" / "detectors"
"""By mmdetection 2.28.2 with mmcv's operators: its float32 and float64 are 40 pixels apart."""


@pytest.mark.parametrize("case", ["plain", "padded"])
def test_masks_are_pasted_as_mmdetection_pastes_them(case):
    said = json.loads((DETECTORS / "mask_rcnn_r50.json").read_text())["inputs"][case]
    height, width = said["mask_shape"][1:]
    with np.load(DETECTORS / "mask_rcnn_r50.npz") as golden:
        masks, boxes = golden[f"{case}.mask_prob"], golden[f"{case}.dets"][:, :4]
        bits = np.unpackbits(golden[f"{case}.mask_bits"])[: len(masks) * height * width]
    pasted = paste(masks, boxes[: len(masks)], height, width)
    wanted = bits.reshape(pasted.shape).astype(bool)
    assert wanted.any(axis=(1, 2)).all()
    assert np.count_nonzero(pasted != wanted) <= len(masks)  # a pixel each; found were none


def by_pixel(mask, box, height, width):
    """The definition, a pixel at a time: four cells, and nothing beyond the mask."""
    padded = np.pad(mask.astype(float), 1)
    values = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            v = (y + 0.5 - box[1]) / (box[3] - box[1]) * len(mask) - 0.5
            u = (x + 0.5 - box[0]) / (box[2] - box[0]) * len(mask) - 0.5
            i, j = int(np.floor(v)), int(np.floor(u))
            if -1 <= i < len(mask) and -1 <= j < len(mask):
                a, b = v - i, u - j
                four = padded[i + 1 : i + 3, j + 1 : j + 3]
                values[y, x] = np.array([1 - a, a]) @ four @ np.array([1 - b, b])
    return values


@pytest.mark.parametrize(
    "box",
    [(3.2, 4.1, 14.9, 11), (-6, -3.5, 9, 8), (10, 7, 40, 30), (0, 0, 20, 15), (8.3, 8.3, 8.6, 8.7)],
    ids=["inside", "above left", "below right", "whole", "a part of a pixel"],
)
@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_any_box_is_read_pixel_by_pixel(box, threshold):
    mask = np.random.default_rng(0).uniform(0, 1, (5, 5)).astype(np.float32)
    (pasted,) = paste(mask[None], np.array([box]), 15, 20, threshold)
    np.testing.assert_array_equal(pasted, by_pixel(mask, box, 15, 20) >= threshold)


def test_a_mask_of_ones_covers_the_pixels_whose_centres_lie_in_the_box():
    (pasted,) = paste(np.ones((1, 28, 28)), np.array([[2.5, 1.4, 6.5, 3.6]]), 5, 8)
    assert np.argwhere(pasted).min(0).tolist() == [1, 2]  # at 2.5 the value is just one half
    assert np.argwhere(pasted).max(0).tolist() == [3, 6]


@pytest.mark.parametrize(
    "box", [(5, 5, 5, 9), (9, 5, 5, 9), (50, 50, 60, 60), (-30, -30, -20, -20), (3, 40, 9, 50)]
)
def test_what_has_no_area_in_the_picture_sets_nothing(box):
    assert not paste(np.ones((1, 4, 4)), np.array([box], float), 10, 12).any()


def test_no_more_is_made_of_a_mask_than_it_reaches():
    cut = cut_out(np.ones((28, 28)), np.array([700.0, 500, 720, 512]), 10_000, 10_000)
    assert cut.bits.shape == (14, 22)  # half a cell more on each side
    assert (cut.top, cut.left) == (499, 699)


def test_bands_of_rows_are_seamless(monkeypatch):
    mask = np.random.default_rng(0).uniform(0, 1, (28, 28))
    whole = cut_out(mask, np.array([3, 5, 60, 77]), 80, 64).bits
    for pixels in (1, 64, 200, 64 * 79):
        monkeypatch.setattr("simam_deploy.detect.masks._BAND", pixels)
        np.testing.assert_array_equal(cut_out(mask, np.array([3, 5, 60, 77]), 80, 64).bits, whole)


def test_a_cut_is_trimmed_to_what_is_set():
    bits = np.zeros((6, 7), bool)
    bits[2, 3:5] = bits[4, 4] = True
    trimmed = Cut(10, 20, bits).trimmed()
    assert (trimmed.top, trimmed.left, trimmed.bits.shape) == (12, 23, (3, 2))
    np.testing.assert_array_equal(trimmed.whole(30, 30), Cut(10, 20, bits).whole(30, 30))
    assert Cut(10, 20, np.zeros((6, 7), bool)).trimmed().bits.size == 0


def test_runs_by_hand():
    assert runs(np.array([[0, 1, 1], [1, 0, 0]], bool)) == [1, 3, 2]
    assert runs(np.array([[1, 0], [0, 1]], bool)) == [0, 1, 2, 1]
    assert runs(np.zeros((2, 3), bool)) == [6]
    assert runs(np.ones((2, 3), bool)) == [0, 6]
    assert sum(runs(np.zeros((0, 0), bool))) == 0


def test_runs_are_read_back():
    bits = np.random.default_rng(0).uniform(0, 1, (40, 31)) > 0.6
    counts = runs(bits)
    back = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(bits.shape)
    np.testing.assert_array_equal(back, bits)

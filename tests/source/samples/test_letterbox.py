"""Letterboxed pictures: as the detectors' own loaders lay them, pixel by pixel, and back again."""

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.source.recipes import read_recipe
from simam_deploy.source.samples.preparation import read_preparation
from simam_deploy.source.samples.sampling import sampled

SPEC = TensorSpec("images", "float32", ("batch", 3, 64, 96))
BY_OPENCV = {
    # Drawn pictures (height, width) in the input's size, green: what ultralytics' LetterBox makes
    # of them with OpenCV 5.0.0.
    ((9, 13), (6, 8)): """
        92 159 123  92 123  89  46 143
        77 135 104  63  40  91  98 108
        93 151 118  79 167 132  73 113
       140  75 196 212  92 184 164 121
        98  93 171  76 110 135 140  79
       130  76 134 231 116 169 125 179""",
    ((5, 3), (8, 9)): """
       114 114 110  75  22 106 163 114 114
       114 114 149 126  91 144 179 114 114
       114 114 194 186 175 188 197 114 114
       114 114 145 139 130 149 162 114 114
       114 114 145 134 117 109 103 114 114
       114 114 194 171 136  68  22 114 114
       114 114 139 111  70  84  94 114 114
       114 114  92  62  18 101 156 114 114""",
    ((13, 4), (7, 7)): """
       114 114  99  90 114 114 114
       114 114  68  76 114 114 114
       114 114 131 181 114 114 114
       114 114  14 141 114 114 114
       114 114 143 190 114 114 114
       114 114 117 103 114 114 114
       114 114  86 199 114 114 114""",
}


def prepare(recipe, shape=(1, 3, 64, 96)):
    spec = TensorSpec("images", "float32", ("batch", *shape[1:]))
    return read_preparation(read_recipe(recipe).complete(shape), spec)


def test_yolo_sees_what_ultralytics_gives_it():
    """OpenCV rounds its shares to 1/2048: it may differ by one level; half a level is its mean."""
    rng = np.random.default_rng(7)
    for (sides, size), table in BY_OPENCV.items():
        pixels = rng.integers(0, 256, (*sides, 3), np.uint8)
        expected = np.array(table.split(), float).reshape(size)
        got = prepare("yolo", (1, 3, *size))(Image.fromarray(pixels))[1] * 255
        np.testing.assert_allclose(got, expected, atol=1.001)
        assert np.abs(got - expected).mean() < 0.5


def test_a_picture_of_the_boxs_size_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    got = prepare("yolo")(Image.fromarray(pixels))
    np.testing.assert_allclose(got, pixels.transpose(2, 0, 1) / np.float32(255), rtol=1e-6)


@pytest.mark.parametrize(
    ("picture", "scaled", "offset"),
    [
        ((480, 640), (64, 85), (0, 5)),  # 11 left: 5 before, 6 behind
        ((640, 480), (64, 48), (0, 24)),
        ((100, 300), (32, 96), (16, 0)),
        ((1, 900), (1, 96), (31, 0)),  # never less than a row; 63 left
        ((5, 2), (64, 26), (0, 35)),  # 25.6
    ],
)
def test_a_centred_letterbox_rounds_as_ultralytics_does(picture, scaled, offset):
    placement = prepare("yolo").placement(picture)
    assert (placement.scaled, placement.offset) == (scaled, offset)


def test_halves_are_rounded_as_each_loader_does():
    """5 x 10 into 4 x 1 rows: half of a row and two columns."""
    picture, shape = (5, 40), (1, 3, 4, 4)
    assert prepare("letterbox=centre", shape).placement(picture).scaled == (1, 4)
    picture = (15, 24)
    shape = (1, 3, 4, 4)  # 2.5 x 4
    assert prepare("letterbox=centre", shape).placement(picture).scaled == (2, 4)
    assert prepare("letterbox=corner", shape).placement(picture).scaled == (3, 4)


@pytest.mark.parametrize(
    ("picture", "scaled"),
    [((480, 640), (800, 1067)), ((427, 640), (800, 1199)), ((400, 1000), (533, 1333))],
)
def test_mmdetection_fits_into_1333_x_800_and_pads_to_a_divisor(picture, scaled):
    """1333 is no multiple of 32: the input is 1344 wide, and the last 11 columns stay empty."""
    prepared = prepare("mmdet", (1, 3, 800, 1344))
    placement = prepared.placement(picture)
    assert prepared.fitting.made(picture) == (800, 1344)
    assert (placement.scaled, placement.offset) == (scaled, (0, 0))


def test_what_fills_a_letterbox():
    grey = Image.new("RGB", (10, 20), (51, 102, 204))
    cases = {
        "letterbox=centre": (114 / 255,) * 3,
        "letterbox=corner": (0.0,) * 3,
        "letterbox=centre,fill=none,mean=0.5,std=0.25": (0.0,) * 3,
        "letterbox=corner,fill=0,mean=0.5,std=0.25": (-2.0,) * 3,
        "letterbox=centre,fill=153,mean=0.1,0.2,0.4,std=0.5": (1.0, 0.8, 0.4),
    }
    for recipe, fill in cases.items():
        got = prepare(recipe)(grey)
        assert got.shape == (3, 64, 96)
        np.testing.assert_allclose(got[:, -1, -1], fill, atol=1e-6, err_msg=recipe)
        column = 48 if "centre" in recipe else 0
        assert np.abs(got[:, 32, column] - fill).min() > 0.04, recipe


def test_bgr_is_filled_and_normalised_in_its_own_order():
    red = Image.new("RGB", (20, 20), (200, 100, 50))
    got = prepare("letterbox=corner,order=BGR,scale=1,mean=50,100,200,std=2")(red)
    np.testing.assert_allclose(got[:, 0, 0], 0, atol=1e-6)
    assert np.all(got == 0)
    other = prepare("letterbox=corner,order=RGB,scale=1,mean=50,100,200,std=2")(red)
    np.testing.assert_allclose(other[:, 0, 0], [75, 0, -75], atol=1e-6)


RECIPES = (
    "yolo",
    "mmdet,resize=96x64",
    "letterbox=corner,resize=90x60,divisor=32",
    "resize=96x64",
    "resize=64",
)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("picture", [(480, 640), (33, 77), (7, 3), (1, 1), (301, 97)])
def test_boxes_come_back_to_where_they_were(recipe, picture):
    """Every box that the input shows; what a crop cut off is cut at the picture's edge."""
    height, width = picture
    placement = prepare(recipe).placement(picture)
    edges = placement.to_picture(np.array([[0.0, 0, 96, 64]]))[0]
    shares = np.random.default_rng(0).uniform(0, 1, (20, 4))
    low, high = np.minimum(shares[:, :2], shares[:, 2:]), np.maximum(shares[:, :2], shares[:, 2:])
    boxes = np.concatenate([low, high], 1) * np.tile(edges[2:] - edges[:2], 2) + edges[[0, 1, 0, 1]]
    moved = placement.to_input(boxes)
    assert moved.min() > -1e-9
    assert np.all(moved <= np.array([96, 64, 96, 64]) + 1e-9)
    np.testing.assert_allclose(placement.to_picture(moved), boxes, atol=1e-9)
    assert np.all(edges <= [width, height, width, height])


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("size", [(131, 77), (40, 200)])
def test_a_box_lies_where_the_input_shows_it(recipe, size):
    """A white box in a black picture, found again in the prepared pixels."""
    height, width = size
    pixels = np.zeros((height, width, 3), np.uint8)
    box = np.array([[0.4 * width, 0.45 * height, 0.55 * width, 0.6 * height]]).round()
    x1, y1, x2, y2 = box[0].astype(int)
    pixels[y1:y2, x1:x2] = 255
    prepared = prepare(f"{recipe},mean=0,std=1")
    array = prepared(Image.fromarray(pixels))
    white = np.argwhere(array[0] > 0.6)
    found = np.array([[*white.min(0)[::-1], *(white.max(0)[::-1] + 1)]], float)
    step = max(n / s for n, s in zip(size, prepared.placement(size).scaled, strict=True))
    back = prepared.placement(size).to_picture(found)
    assert np.abs(back - box).max() <= max(1.0, step)


@pytest.mark.parametrize("size", [(3, 500), (500, 3), (90, 90)])
def test_no_more_is_held_than_the_smaller_axis_asks_for(size):
    """Either axis first gives the same, but for the rounding of float32."""
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    got = sampled(Image.fromarray(pixels), (20, 20))
    turned = sampled(Image.fromarray(pixels.transpose(1, 0, 2)), (20, 20))
    assert np.abs(got - turned.transpose(1, 0, 2)).max() <= 1
    assert (got.min(), got.max()) >= (0, 0)

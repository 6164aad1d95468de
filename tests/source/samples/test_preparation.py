"""Preprocessing facts carried out, against the arithmetic that they stand for."""

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.models.zoo import BACKBONE, CIFAR, IMAGENET, WESPEAKER
from simam_deploy.source.samples.preparation import made_size, read_preparation

RNG = np.random.default_rng(0)


def picture(height: int, width: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 255, (height, width, 3), np.uint8))


def prepared(family, source, size=None, **changes):
    spec = TensorSpec("input", "float32", ("n", 3, *(size or family.input_shape[1:])))
    return read_preparation({**family.preprocessing, **changes}, spec)(source)


def normal(pixels, facts):
    scaled = (np.asarray(pixels) / 255.0 - facts["mean"]) / facts["std"]
    return scaled.transpose(2, 0, 1)


def test_imagenet_resizes_to_256_and_crops_224():
    source = picture(300, 401)
    got = prepared(IMAGENET, source)
    # 256 * 401 / 300 = 342.2, and torchvision takes the whole part.
    resized = source.resize((342, 256), Image.Resampling.BILINEAR)
    crop = resized.crop((59, 16, 283, 240))
    np.testing.assert_allclose(got, normal(crop, IMAGENET.preprocessing), atol=1e-5)


def test_another_input_size_scales_the_resize_with_it():
    source = picture(256, 256)
    got = prepared(IMAGENET, source, (112, 112))
    crop = source.resize((128, 128), Image.Resampling.BILINEAR).crop((8, 8, 120, 120))
    np.testing.assert_allclose(got, normal(crop, IMAGENET.preprocessing), atol=1e-5)


def test_free_sizes_are_taken_from_the_facts():
    assert prepared(IMAGENET, picture(50, 60), ("h", "w")).shape == (3, 224, 224)
    assert prepared(BACKBONE, picture(50, 60), (800, 1344)).shape == (3, 800, 1344)


@pytest.mark.parametrize(
    ("sides", "made"),
    [((50, 60), (800, 960)), ((60, 50), (960, 800)), ((30, 90), (448, 1344)), ((9, 9), (800, 800))],
)
def test_a_padded_picture_has_an_input_of_its_own_size(sides, made):
    """444 x 1333 becomes 448 x 1344; a standing picture's longer side may have 1333 too."""
    assert prepared(BACKBONE, picture(*sides), ("h", "w")).shape == (3, *made)


def test_a_picture_of_the_right_size_stays_as_it_is():
    source = picture(32, 32)
    np.testing.assert_allclose(
        prepared(CIFAR, source), normal(source, CIFAR.preprocessing), atol=1e-5
    )


@pytest.mark.parametrize("size", [(20, 90), (90, 20), (1, 500), (33, 32)])
def test_any_picture_covers_the_input(size):
    assert prepared(CIFAR, picture(*size)).shape == (3, 32, 32)
    assert prepared(CIFAR, picture(*size), (48, 32)).shape == (3, 48, 32)


def test_bgr_reverses_the_channels():
    source = picture(32, 32)
    same = {"mean": [0.5] * 3, "std": [0.5] * 3}
    rgb, bgr = (prepared(CIFAR, source, color=c, **same) for c in ("RGB", "BGR"))
    np.testing.assert_array_equal(rgb[::-1], bgr)


@pytest.mark.parametrize(
    ("size", "filled"),
    [((100, 150), (800, 1200)), ((150, 100), (800, 533)), ((9, 999), (12, 1333))],
)
def test_a_backbone_is_padded_with_zeros(size, filled):
    got = prepared(BACKBONE, picture(*size))
    assert got.shape == (3, 800, 1344)
    assert np.all(got[:, filled[0] :] == 0)
    assert np.all(got[:, :, filled[1] :] == 0)
    assert np.mean(got[:, : filled[0], : filled[1]] == 0) < 0.01


def test_audio_and_silence_prepare_nothing():
    spec = TensorSpec("feats", "float32", ("n", "t", 80))
    assert read_preparation(WESPEAKER.preprocessing, spec) is None
    assert read_preparation(None, spec) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": [0.5]},
        {"std": [1, 0, 1]},
        {"std": [1]},
        {"resize": "big"},
        {"mean": None},
        {"crop": 257},
    ],
)
def test_damaged_facts_are_refused(damage):
    with pytest.raises(InputError, match="preprocessing cannot be used"):
        prepared(CIFAR, picture(9, 9), **damage)


@pytest.mark.parametrize(
    ("facts", "size"),
    [
        ({"resize": 256, "crop": 224}, (224, 224)),
        ({"resize": 256}, (256, 256)),
        ({"resize": [640, 480], "keep_ratio": True}, (480, 640)),
        ({"resize": 640, "keep_ratio": True, "crop": 3}, (640, 640)),
        ({"resize": [1333, 800], "keep_ratio": True, "pad_divisor": 32}, (800, 1344)),
        ({"resize": [640, 480], "stretch": True, "pad_divisor": 32}, (480, 640)),
        ({"resize": [640, 480]}, None),
        ({"resize": 4096, "keep_ratio": True, "pad_divisor": 4095}, None),  # 8190: 6 GB of eight
        ({"keep_ratio": True}, None),
        ({}, None),
    ],
)
def test_the_size_that_facts_make_of_any_picture(facts, size):
    assert made_size(facts) == size


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"resize": [64, 64]}, "resize has two sides, and nothing says whether the ratio is kept"),
        ({"mean": [0.5] * 3, "std": [0, 1, 1]}, "std"),
        ({"std": [1] * 3, "mean": None}, "preprocessing cannot be used"),
    ],
)
def test_what_facts_leave_unsaid(facts, says):
    with pytest.raises(InputError, match=says):
        prepared(CIFAR, picture(9, 9), **facts)


def test_no_size_anywhere_is_said():
    spec = TensorSpec("input", "float32", ("n", 3, "h", "w"))
    facts = {key: fact for key, fact in CIFAR.preprocessing.items() if key != "resize"}
    with pytest.raises(InputError, match="neither it nor the input says a size"):
        read_preparation(facts, spec)
    fixed = TensorSpec("input", "float32", ("n", 3, 20, 30))
    assert read_preparation(facts, fixed)(picture(9, 9)).shape == (3, 20, 30)
    del facts["std"]
    with pytest.raises(InputError, match="it states no 'std'"):
        read_preparation(facts, fixed)


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_a_picture_has_one_channel_or_three(channels):
    spec = TensorSpec("input", "float32", ("n", "?", 8, 8))
    facts = {**CIFAR.preprocessing, "mean": [0.0] * channels, "std": [1.0] * channels}
    with pytest.raises(InputError, match=f"{channels} means"):
        read_preparation(facts, spec)

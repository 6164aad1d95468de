import numpy as np
import pytest

from simam_deploy.errors import UsageError
from simam_deploy.serve.load.client import ModelInput
from simam_deploy.serve.load.inputs import make_feeds
from simam_deploy.serve.protocol.datatypes import DTYPES

IMAGES = ModelInput("x", "FP32", (-1, 3, 8, 8))
FREE = ModelInput("x", "FP32", (-1, 3, -1, -1))
FIXED = ModelInput("x", "FP32", (2, 3))


@pytest.mark.parametrize("datatype", DTYPES)
def test_every_type(datatype):
    (array,) = make_feeds([ModelInput("x", datatype, (-1, 64))], 8, {}, 0).values()
    assert array.dtype == DTYPES[datatype]
    assert array.shape == (8, 64)
    assert np.isfinite(array).all()
    assert len(np.unique(array)) > 1


def test_floats_are_standard_normal():
    (array,) = make_feeds([IMAGES], 64, {}, 0).values()
    assert array.std() == pytest.approx(1, abs=0.05)
    assert array.mean() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("spec", "batch", "shapes", "says"),
    [
        (FREE, 1, {}, "say its size"),
        (FREE, 1, {"x": (1, 4, 8, 8)}, "say its size"),
        (FREE, 1, {"x": (1, 3, 8)}, "say its size"),
        (FREE, 1, {"x": (1, 3, 0, 8)}, "say its size"),
        (FREE, 1, {"y": (1, 3, 8, 8)}, "no input 'y'; it has x"),
        (FIXED, 1, {}, "the batch must be 2"),
        (ModelInput("x", "FP32", (-1, 2**40)), 1, {}, "256 MiB"),
        (ModelInput("x", "FP32", (-1, 2**62, 2**62)), 1, {}, "256 MiB"),
    ],
)
def test_what_does_not_fit(spec, batch, shapes, says):
    with pytest.raises(UsageError, match=says):
        make_feeds([spec], batch, shapes, 0)


def test_given_shapes():
    feeds = make_feeds([FREE], 1, {"x": (5, 3, 9, 7)}, 0)
    assert feeds["x"].shape == (5, 3, 9, 7)
    assert make_feeds([FIXED], 2, {}, 0)["x"].shape == (2, 3)
    assert make_feeds([ModelInput("x", "FP32", ())], 1, {}, 0)["x"].shape == ()


def test_a_detector_is_told_the_size_of_its_picture():
    size = ModelInput("image_size", "FP32", (-1, 2))
    feeds = make_feeds([FREE, size], 3, {"x": (3, 3, 40, 60)}, 0)
    assert feeds["image_size"].tolist() == [[40, 60]] * 3


@pytest.mark.parametrize(
    "other",
    [ModelInput("o", "FP32", (-1, 3)), ModelInput("o", "INT64", (-1, 2)), None],
    ids=["no pair", "no floats", "a third"],
)
def test_what_is_no_size_is_drawn(other):
    size = ModelInput("image_size", "FP32", (-1, 2))
    inputs = [IMAGES, *([other] if other else [size, ModelInput("o", "FP32", (-1, 4))])]
    drawn = make_feeds(inputs, 5, {}, 0)[inputs[1].name]
    assert drawn.max() < 5

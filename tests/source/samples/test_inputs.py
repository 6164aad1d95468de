"""A picture's size as an input of its own: which input it is, and what is given to it."""

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError, UsageError
from simam_deploy.source.samples import open_dataset
from simam_deploy.source.samples.inputs import feeds_of, find_inputs
from simam_deploy.source.samples.preparation import read_preparation
from tests.detect.tiny import FACTS

IMAGE = TensorSpec("image", "float32", ("n", 3, "h", "w"))
SIZE = TensorSpec("image_size", "float32", ("n", 2))
FIXED = TensorSpec("image", "float32", ("n", 3, 96, 128))
UNTOLD = {key: fact for key, fact in FACTS.items() if key != "size_input"}


def test_a_picture_and_its_size_in_either_order():
    assert find_inputs((IMAGE,), sized=False).sample is IMAGE
    for order in ((IMAGE, SIZE), (SIZE, IMAGE)):
        found = find_inputs(order, sized=True)
        assert (found.sample, found.size) == (IMAGE, SIZE)


@pytest.mark.parametrize(
    ("inputs", "sized", "says"),
    [
        ((IMAGE, SIZE), False, "sample data is for models of one input, this one takes 2"),
        ((), False, "takes 0"),
        ((IMAGE, IMAGE), True, r"two inputs, \(N, C, H, W\) and \(N, 2\); it takes image"),
        ((IMAGE, SIZE, SIZE), True, "two inputs"),
        ((IMAGE, TensorSpec("m", "float32", ("n", 3))), True, "two inputs"),
    ],
)
def test_other_inputs_are_refused(inputs, sized, says):
    with pytest.raises(UsageError, match=says):
        find_inputs(inputs, sized)


def save(folder, *sizes):
    """White pictures of these heights and widths."""
    for number, (height, width) in enumerate(sizes):
        pixels = np.full((height, width, 3), 255, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_each_picture_has_an_input_of_its_own_size_and_is_batched_with_its_like(tmp_path):
    """Fitted into 128 x 96 lying or standing, and padded to multiples of 32 with zeros."""
    save(tmp_path, (48, 64), (45, 60), (30, 60), (30, 60), (30, 60), (64, 48))
    batches = list(open_dataset(tmp_path, IMAGE, FACTS).batches(2))
    assert [batch.array.shape for batch in batches] == [
        (2, 3, 96, 128), (2, 3, 64, 128), (1, 3, 64, 128), (1, 3, 128, 96)
    ]  # fmt: skip
    sizes = np.concatenate([batch.sizes for batch in batches])
    assert sizes.dtype == np.float32
    assert sizes.tolist() == [[96, 128], [96, 128], *[[64, 128]] * 3, [128, 96]]
    feeds = feeds_of((IMAGE, SIZE), batches[0])
    assert list(feeds) == ["image", "image_size"]
    assert feeds["image_size"] is batches[0].sizes


def test_what_is_padding_is_zero_after_normalising_and_is_not_of_the_size(tmp_path):
    save(tmp_path, (30, 50))
    facts = {**FACTS, "mean": [0.5] * 3, "std": [0.25] * 3}
    (batch,) = open_dataset(tmp_path, IMAGE, facts).batches(4)
    assert batch.array.shape == (1, 3, 96, 128)
    assert batch.sizes.tolist() == [[77, 128]]
    assert (batch.array[0, :, :77] == 2).all()
    assert (batch.array[0, :, 77:] == 0).all()


def test_an_input_of_fixed_size_is_filled_up(tmp_path):
    save(tmp_path, (30, 60), (64, 48))
    (batch,) = open_dataset(tmp_path, FIXED, FACTS).batches(4)
    assert batch.array.shape == (2, 3, 96, 128)
    assert batch.sizes.tolist() == [[64, 128], [96, 72]]


def test_what_is_filled_up_further_than_in_training_is_said(tmp_path):
    save(tmp_path, (30, 60), (64, 48))
    (note,) = open_dataset(tmp_path, FIXED, FACTS).notes
    assert note.startswith(
        "each picture is filled up to 96 x 128, and not to its own multiple of 32"
    )
    assert open_dataset(tmp_path, IMAGE, FACTS).notes == ()
    assert open_dataset(tmp_path, FIXED, {**UNTOLD, "pad": "centre"}).notes == ()


def test_a_network_that_is_not_told_gets_its_picture_alone(tmp_path):
    save(tmp_path, (30, 60))
    (batch,) = open_dataset(tmp_path, IMAGE, UNTOLD).batches(4)
    assert batch.sizes is None
    assert list(feeds_of((IMAGE,), batch)) == ["image"]


def test_arrays_are_pictures_to_their_ends_and_bytes_are_prepared(tmp_path):
    np.save(tmp_path / "floats.npy", np.ones((2, 3, 64, 96), np.float32))
    np.save(tmp_path / "bytes.npy", np.ones((2, 30, 60, 3), np.uint8))
    (floats,) = open_dataset(tmp_path / "floats.npy", IMAGE, FACTS).batches(4)
    (prepared,) = open_dataset(tmp_path / "bytes.npy", IMAGE, FACTS).batches(4)
    assert floats.sizes.tolist() == [[64, 96]] * 2
    assert prepared.sizes.tolist() == [[64, 128]] * 2
    assert prepared.array.shape == (2, 3, 64, 128)


def test_boxes_come_back_from_a_padded_input(tmp_path):
    prepare = read_preparation(FACTS, IMAGE)
    for sides in ((30, 50), (50, 30), (333, 500)):
        where = prepare.placement(sides)
        assert where.offset == (0, 0)
        assert where.scaled == prepare.extent(sides)
        boxes = np.array([[1.0, 2, 20, 28]])
        np.testing.assert_allclose(where.to_picture(where.to_input(boxes)), boxes)


def test_a_size_is_not_told_of_a_picture_in_the_centre():
    with pytest.raises(InputError, match="a letterbox in the centre"):
        read_preparation({**FACTS, "pad": "centre"}, IMAGE)

"""A picture's size as an input of its own: which input it is, and what is given to it."""

import numpy as np
import pytest
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError, UsageError
from simam_deploy.source.samples import open_dataset
from simam_deploy.source.samples.inputs import batch_of, feeds_of, find_inputs, picture_inputs
from simam_deploy.source.samples.preparation import read_preparation
from tests.detect.tiny import FACTS

IMAGE = TensorSpec("image", "float32", ("n", 3, "h", "w"))
SIZE = TensorSpec("image_size", "float32", ("n", 2))
FIXED = TensorSpec("image", "float32", ("n", 3, 96, 128))
BOTH = (IMAGE, SIZE)
UNTOLD = {key: fact for key, fact in FACTS.items() if key != "size_input"}


def test_a_picture_and_its_size_in_either_order():
    assert picture_inputs((IMAGE,), sized=False).sample is IMAGE
    for order in ((IMAGE, SIZE), (SIZE, IMAGE)):
        found = picture_inputs(order, sized=True)
        assert (found.sample, found.size) == (IMAGE, SIZE)


@pytest.mark.parametrize(
    ("inputs", "sized", "says"),
    [
        ((IMAGE, SIZE), False, "pictures serve one input, this network takes 2"),
        ((), False, "takes 0"),
        ((IMAGE, IMAGE), True, r"two inputs, \(N, C, H, W\) and \(N, 2\); it takes image"),
        ((IMAGE, SIZE, SIZE), True, "two inputs"),
        ((IMAGE, TensorSpec("m", "float32", ("n", 3))), True, "two inputs"),
    ],
)
def test_other_inputs_are_refused(inputs, sized, says):
    with pytest.raises(UsageError, match=says):
        picture_inputs(inputs, sized)


def test_of_several_inputs_those_that_share_the_batch_have_rows():
    limit, mask = TensorSpec("limit", "float32", ()), TensorSpec("mask", "bool", ("n", 16))
    anchors = TensorSpec("anchors", "float32", (1, 4))
    found = find_inputs((limit, IMAGE, anchors, mask), sized=False)
    assert found.sample is IMAGE
    assert (found.others, found.whole) == ((mask,), (limit, anchors))
    fixed = [TensorSpec(f"x{size}", "float32", (size, 4)) for size in (2, 2, 1)]
    found = find_inputs(fixed, sized=False)
    assert (found.others, found.whole) == ((fixed[1],), (fixed[2],))
    assert (batch_of(fixed), batch_of((limit, IMAGE)), batch_of(())) == (2, None, None)
    with pytest.raises(UsageError, match="has 2 inputs, none has one"):
        find_inputs((limit, limit), sized=False)


def test_a_model_of_other_inputs_is_not_fed(tmp_path):
    save(tmp_path, (48, 64))
    (batch,) = open_dataset(tmp_path, BOTH, FACTS).batches(1)
    renamed = TensorSpec("theirs", "float32", IMAGE.shape)
    assert list(feeds_of((renamed, SIZE), batch)) == ["theirs", "image_size"]
    for inputs in ((IMAGE,), (IMAGE, SIZE, renamed), (IMAGE, renamed), ()):
        with pytest.raises(UsageError, match="the samples give one input, and image_size; the mod"):
            feeds_of(inputs, batch)


def save(folder, *sizes):
    """White pictures of these heights and widths."""
    for number, (height, width) in enumerate(sizes):
        pixels = np.full((height, width, 3), 255, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_each_picture_has_an_input_of_its_own_size_and_is_batched_with_its_like(tmp_path):
    """Fitted into 128 x 96 lying or standing, and padded to multiples of 32 with zeros."""
    save(tmp_path, (48, 64), (45, 60), (30, 60), (30, 60), (30, 60), (64, 48))
    batches = list(open_dataset(tmp_path, BOTH, FACTS).batches(2))
    assert [batch.array.shape for batch in batches] == [
        (2, 3, 96, 128), (2, 3, 64, 128), (1, 3, 64, 128), (1, 3, 128, 96)
    ]  # fmt: skip
    sizes = np.concatenate([batch.others["image_size"] for batch in batches])
    assert sizes.dtype == np.float32
    assert sizes.tolist() == [[96, 128], [96, 128], *[[64, 128]] * 3, [128, 96]]
    feeds = feeds_of((SIZE, IMAGE), batches[0])
    assert list(feeds) == ["image", "image_size"]
    assert feeds["image"] is batches[0].array


def test_what_is_padding_is_zero_after_normalising_and_is_not_of_the_size(tmp_path):
    save(tmp_path, (30, 50))
    facts = {**FACTS, "mean": [0.5] * 3, "std": [0.25] * 3}
    (batch,) = open_dataset(tmp_path, BOTH, facts).batches(4)
    assert batch.array.shape == (1, 3, 96, 128)
    assert batch.others["image_size"].tolist() == [[77, 128]]
    assert (batch.array[0, :, :77] == 2).all()
    assert (batch.array[0, :, 77:] == 0).all()


def test_an_input_of_fixed_size_is_filled_up(tmp_path):
    save(tmp_path, (30, 60), (64, 48))
    (batch,) = open_dataset(tmp_path, [FIXED, SIZE], FACTS).batches(4)
    assert batch.array.shape == (2, 3, 96, 128)
    assert batch.others["image_size"].tolist() == [[64, 128], [96, 72]]


def test_what_is_filled_up_further_than_in_training_is_said(tmp_path):
    save(tmp_path, (30, 60), (64, 48))
    (note,) = open_dataset(tmp_path, [FIXED], FACTS).notes
    assert note.startswith(
        "each picture is filled up to 96 x 128, and not to its own multiple of 32"
    )
    assert open_dataset(tmp_path, [IMAGE], FACTS).notes == ()
    assert open_dataset(tmp_path, [FIXED], {**UNTOLD, "pad": "centre"}).notes == ()


def test_a_network_that_is_not_told_gets_its_picture_alone(tmp_path):
    save(tmp_path, (30, 60))
    (batch,) = open_dataset(tmp_path, [IMAGE], UNTOLD).batches(4)
    assert not batch.others
    assert list(feeds_of((IMAGE,), batch)) == ["image"]


def test_arrays_are_pictures_to_their_ends_and_bytes_are_prepared(tmp_path):
    np.save(tmp_path / "floats.npy", np.ones((2, 3, 64, 96), np.float32))
    np.save(tmp_path / "bytes.npy", np.ones((2, 30, 60, 3), np.uint8))
    (floats,) = open_dataset(tmp_path / "floats.npy", BOTH, FACTS).batches(4)
    (prepared,) = open_dataset(tmp_path / "bytes.npy", BOTH, FACTS).batches(4)
    assert floats.others["image_size"].tolist() == [[64, 96]] * 2
    assert prepared.others["image_size"].tolist() == [[64, 128]] * 2
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

"""Scores at the places of an input, as the classes of a picture's pixels."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from simam_deploy.detect import regions
from simam_deploy.detect.regions import NOWHERE, class_map
from simam_deploy.source.samples.placement import Covering, Letterboxed, Placement, Stretched


def drawn(classes, height, width, seed=0):
    return np.random.default_rng(seed).standard_normal((classes, height, width)).astype(np.float32)


@pytest.mark.parametrize("band", [1, 1 << 20])
@pytest.mark.parametrize("picture", [(33, 50), (8, 8), (4, 100)])
def test_between_places_it_is_torchs_bilinear(picture, band, monkeypatch):
    monkeypatch.setattr(regions, "_BAND", band)
    scores = drawn(4, 8, 12)
    resized = functional.interpolate(
        torch.from_numpy(scores).double()[None], picture, mode="bilinear", align_corners=False
    )
    found = class_map(scores, Stretched((32, 48)).placement(picture), (32, 48))
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, resized[0].argmax(0).numpy())


def test_the_padding_of_a_letterbox_is_no_part_of_the_picture():
    """A picture of 20 x 40 fills the middle rows of 40 x 40; above and below class 1 scores."""
    scores = np.zeros((2, 40, 40), np.float32)
    scores[1] = 1
    scores[0, 10:30] = 2
    fitting = Letterboxed((40, 40), (40, 40), centred=True)
    assert (class_map(scores, fitting.placement((20, 40)), (40, 40)) == 0).all()


@pytest.mark.parametrize(
    "fitting",
    [
        Stretched((20, 30)),
        Covering((20, 30), 1.2),
        Letterboxed((20, 30), (20, 30), centred=True),
    ],
)
def test_the_input_s_rectangle_goes_there_and_back(fitting):
    placement = fitting.placement((7, 33))
    there = placement.input_in_picture((20, 30))
    np.testing.assert_allclose(placement.to_input(there[None])[0], [0, 0, 30, 20], atol=1e-9)


def test_what_was_cropped_off_has_no_class():
    """Of 20 x 40 the middle 20 x 20 are seen."""
    found = class_map(drawn(3, 5, 5), Covering((20, 20)).placement((20, 40)), (20, 20))
    assert (found[:, :10] == NOWHERE).all()
    assert (found[:, 30:] == NOWHERE).all()
    assert (found[:, 10:30] >= 0).all()


def test_a_row_cropped_off_has_no_class():
    found = class_map(drawn(3, 4, 4), Placement((8, 4), (8, 4), (-2, 0)), (4, 4))
    assert [bool(row) for row in (found[:, 0] == NOWHERE)] == [True] * 2 + [False] * 4 + [True] * 2

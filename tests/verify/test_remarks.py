"""What a reader is told of the inputs: channels that never vary, and not places that are empty."""

import numpy as np
import pytest

from simam_deploy.graph.selection.outputs import Selection
from simam_deploy.verify.cases import Drawn
from simam_deploy.verify.layout import Layout
from simam_deploy.verify.outputs import Recording
from simam_deploy.verify.remarks import remarks

CASES = [Drawn(("normal",), ((1, 3, size, 8),)) for size in (8, 16)]


def told(name, arrays, layout):
    outputs = {case: {name: array} for case, array in zip(CASES, arrays, strict=True)}
    recording = Recording("", outputs, {case.name: frozenset() for case in CASES})
    return list(remarks(recording, layout))


@pytest.fixture
def boxes():
    """Ten places, of which the first three are taken, by others in each case."""
    arrays = np.zeros((2, 1, 10, 4), np.float32)
    arrays[:, :, :3] = np.random.default_rng(0).uniform(0, 60, (2, 1, 3, 4))
    return arrays


def test_places_that_are_empty_are_no_still_channels(boxes):
    assert told("boxes", boxes, Layout({"boxes": Selection("t", "TopK", 1)})) == []


def test_channels_that_never_vary_are_told(boxes):
    (said,) = told("maps", boxes, Layout())
    assert said == "output maps: channel 3, 4, 5 and 4 more never varies"


def test_a_set_that_is_empty_throughout_is_told(boxes):
    (said,) = told("boxes", boxes * 0, Layout({"boxes": Selection("t", "TopK", 1)}))
    assert said == "output boxes is the same whatever the input, or empty"

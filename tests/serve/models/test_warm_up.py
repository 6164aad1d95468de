"""Rows share batches only where a row in company comes out as it does alone."""

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.runtime.protocol import Closing
from simam_deploy.serve.models.warm_up import sample, warm_up
from tests.detect import tiny
from tests.serve import graphs


class Leaning(Closing):
    """Each row is 1, and `lean` more where other rows are beside it."""

    name = "leaning"
    inputs = outputs = (TensorSpec("x", "float32", ("batch", 4)),)

    def __init__(self, lean):
        self._lean = lean

    def run(self, feeds):
        rows = len(feeds["x"])
        return {"x": np.full((rows, 4), 1 + self._lean * (rows > 1), np.float64)}


@pytest.mark.parametrize(
    ("lean", "apart"),
    # 2e-3 is float16's rounding; a batch's own statistics move a row by tenths.
    [(0.0, True), (2e-3, True), (0.0099, True), (0.0101, False), (0.1, False), (5.0, False)],
)
def test_rows_are_apart_up_to_a_hundredth_of_the_largest_value(lean, apart):
    assert warm_up(Leaning(lean), {}, 8) is apart
    assert warm_up(Leaning(-lean), {}, 8) is apart


def test_a_graph_whose_rows_lean_to_their_mean_takes_no_company(tmp_path):
    with OnnxRunner(graphs.leans(tmp_path)) as runner:
        assert not warm_up(runner, {}, 8)
    with OnnxRunner(graphs.double(tmp_path)) as runner:
        assert warm_up(runner, {}, 8)


def test_a_detector_is_warmed_up_with_whole_pictures_of_a_small_size(tmp_path):
    """Else a box would end where a number that was drawn says, at -1 or 2."""
    with OnnxRunner(tiny.write(tmp_path)) as runner:
        feeds = sample(runner, {"preprocessing": {**tiny.FACTS, "resize": [1333, 800]}}, 2)
        assert feeds["image"].shape == (2, 3, 224, 224)
        assert feeds["image_size"].tolist() == [[224, 224]] * 2
        assert warm_up(runner, {"preprocessing": tiny.FACTS}, 8)


def test_fixed_sides_are_those_of_the_picture(tmp_path):
    path = tiny.write(tmp_path, "fixed", tiny.detector("64, 96"))
    with OnnxRunner(path) as runner:
        feeds = sample(runner, {"preprocessing": tiny.FACTS}, 1)
        assert feeds["image_size"].tolist() == [[64, 96]]

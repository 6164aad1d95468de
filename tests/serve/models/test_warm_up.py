"""Rows share batches only where a row in company comes out as it does alone."""

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.runtime.protocol import Closing
from simam_deploy.serve.models.warm_up import warm_up
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

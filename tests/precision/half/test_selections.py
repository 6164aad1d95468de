"""Boxes and scores stay float32 back to the layers that give them; maps do not."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.precision.half.half import to_half
from tests.precision.half.graphs import BF16, FP16
from tests.precision.half.test_half import by_op, small, typed_as


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    return {
        "w1": rng.standard_normal((4, 4, 3, 3)).astype(np.float32),
        "w2": rng.standard_normal((4, 4, 1, 1)).astype(np.float32),
        "w3": rng.standard_normal((1, 4, 1, 1)).astype(np.float32),
        "rows": np.array([1, -1, 4]), "all": np.array([1, -1]), "count": np.array([5]),
        "shape": np.array([1, 5, 4]), "two": np.array([2]),
        "sizes": np.full((1, 1, 4), 8, np.float32), "places": np.full((1, 1, 4), 300, np.float32),
        "sizes2": np.full((1, 1, 4), 2, np.float32),
    }  # fmt: skip


DETECTOR = """
    map = Conv(x, w1) rec = Relu(map)
    logits = Conv<kernel_shape = [1, 1]>(rec, w2) flat = Reshape(logits, rows)
    boxes0 = Mul(flat, sizes) boxes = Add(boxes0, places)
    logits2 = Conv<kernel_shape = [1, 1]>(rec, w3) scores = Reshape(logits2, all)
    top, index = TopK<axis = 1>(scores, count)
    index3 = Unsqueeze(index, two) picked = Expand(index3, shape)
    near = GatherElements<axis = 1>(boxes, picked) y = Mul(near, sizes2)
"""


@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["float16", "bfloat16"])
def test_scores_and_what_is_taken_by_them(dtype, weights):
    graph = small(DETECTOR, 22, "1,5,4", **weights)
    to_half(graph, dtype)
    assert {typed_as(graph, name) for name in ("map", "rec")} == {dtype}
    for name in ("logits", "boxes", "logits2", "near"):
        assert typed_as(graph, name) == ir.DataType.FLOAT, name
    assert by_op(graph, "TopK").inputs[0].dtype == ir.DataType.FLOAT


MAPS = """
    map = Conv(x, w1) rec = Relu(map)
    logits = Conv<kernel_shape = [1, 1]>(rec, w2) flat = Reshape(logits, rows)
    boxes = Add(flat, places)
    rois = Squeeze(boxes, zero)
    aligned = RoiAlign<output_height = 3, output_width = 3>(rec, rois, batch)
    y = Conv(aligned, w1)
"""


def test_rois_are_coordinates_and_take_their_map_with_them(weights):
    small_map = {"zero": np.array([0]), "batch": np.zeros(49, np.int64)}
    graph = small(MAPS, 18, "49,4,1,1", **weights, **small_map)
    to_half(graph, FP16)
    align = by_op(graph, "RoiAlign")
    assert [value.dtype for value in align.inputs[:2]] == [ir.DataType.FLOAT] * 2
    assert typed_as(graph, "boxes") == ir.DataType.FLOAT
    assert typed_as(graph, "logits") == ir.DataType.FLOAT
    assert typed_as(graph, "rec") == FP16

"""Which outputs a selection made, in graphs as exporters write them."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import plain
from simam_deploy.graph.selection.outputs import (
    Pointed,
    Selection,
    before_selection,
    counting_outputs,
    pointed_values,
    selected_outputs,
    with_pointed,
)
from simam_deploy.precision.int8 import quantise
from simam_deploy.precision.rounding import rounded
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.source.samples import open_dataset
from simam_deploy.verify.bisect import convert
from simam_deploy.verify.layout import Layout
from tests.graph.onnx_text import model
from tests.precision.half.graphs import BF16, FP16

HEAD = """<ir_version: 8, opset_import: ["" : 18]>
g (float[1,3,8,8] x) => ({outputs})
    <int64[3] flat = {{1, 9, 64}}, int64[2] split = {{4, 5}}, int64[1] most = {{20}},
     float[1] iou = {{0.5}}, float[1] least = {{0.2}}, int64 zero = {{0}}, int64 one = {{1}},
     int64[1] cols = {{0}}, int64[1] box_col = {{2}}, int64[1] last = {{3}}, int64[1] k = {{9}},
     int64[1] first = {{0}}>
{{
    stem = Conv<kernel_shape = [1, 1]>(x, stem_weight)
    felt = Relu(stem)
    deep = Conv<kernel_shape = [1, 1]>(felt, deep_weight)
    deeper = Relu(deep)
    maps = Conv<kernel_shape = [1, 1]>(deeper, weight, bias)
    rows = Reshape(maps, flat)
    corners, logits = Split<axis = 1>(rows, split)
    boxes = Transpose<perm = [0, 2, 1]>(corners)
    scores = Sigmoid(logits)
    {body}
}}"""
NMS = """
    chosen = NonMaxSuppression(boxes, scores, most, iou, least)
    number = Gather<axis = 1>(chosen, box_col)
    place = Squeeze(number, one_axis)
    flat_boxes = Reshape(boxes, far_boxes)
    kept = Gather<axis = 0>(flat_boxes, place)
    class = Gather<axis = 1>(chosen, class_col)
    batched = Unsqueeze(kept, first)
    again = Gather<axis = 1>(boxes, place)
    count = Shape(chosen)
"""

STEM = {
    "stem_weight": np.random.default_rng(1).normal(0, 1, (16, 3, 1, 1)).astype(np.float32),
    "deep_weight": np.random.default_rng(2).normal(0, 0.2, (16, 16, 1, 1)).astype(np.float32),
}


def network(body: str, outputs: str) -> ir.Model:
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.5, (9, 16, 1, 1)).astype(np.float32)
    bias = np.array([9, 9, 20, 20, 0, 0, 0, 0, 0], np.float32)
    return plain(
        model(
            HEAD.format(body=body, outputs=outputs),
            **STEM,
            weight=weight,
            bias=bias,
            one_axis=np.array([1]),
            class_col=np.array([1]),
            far_boxes=np.array([64, 4]),
        )
    )


def nms() -> ir.Model:
    return network(
        NMS,
        "float[n,4] kept, int64[n,1] class, int64[n,3] chosen, float[1,n,4] batched, "
        "float[1,n,4] again, "
        "int64[2] count, float[1,64,4] boxes",
    )


TOP = """
    best = ReduceMax<keepdims = 0>(scores, first_axis)
    values, places = TopK<axis = 1>(best, k)
    expanded = Unsqueeze(places, last_axis)
    wide = Expand(expanded, nine)
    picked = GatherElements<axis = 1>(boxes, wide)
    far = Add(picked, picked)
    turned = Transpose<perm = [0, 2, 1]>(far)
    column = Unsqueeze(values, last_axis)
    joined = Concat<axis = 2>(picked, column)
    hits = Greater(values, half)
    whole = Cast<to = 7>(hits)
    number = ReduceSum<keepdims = 0>(whole, first_axis)
    narrow = Cast<to = 6>(places)
"""


def top() -> ir.Model:
    rng = np.random.default_rng(0)
    return plain(
        model(
            HEAD.format(
                body=TOP,
                outputs="float[1,9] values, int32[1,9] narrow, float[1,4,9] turned, "
                "float[1,9,5] joined, int64[1] number, float[1,5,64] scores",
            ),
            **STEM,
            weight=rng.normal(0, 1, (9, 16, 1, 1)).astype(np.float32),
            bias=np.zeros(9, np.float32),
            first_axis=np.array([1]),
            last_axis=np.array([2]),
            nine=np.array([1, 9, 4]),
            half=np.array(0.5, np.float32),
        )
    )


def test_rows_are_followed_behind_a_non_max_suppression():
    found = selected_outputs(nms())
    assert {name: each.axis for name, each in found.items()} == {
        "kept": 0, "class": 0, "chosen": 0, "batched": 1, "again": 1
    }  # fmt: skip
    assert {each.by for each in found.values()} == {"chosen"}
    assert [name for name, each in found.items() if each.triples] == ["chosen"]


def test_rows_are_followed_behind_a_top_k_and_counts_are_no_rows():
    found = selected_outputs(top())
    assert {name: each.axis for name, each in found.items()} == {
        "values": 1, "narrow": 1, "turned": 2, "joined": 1
    }  # fmt: skip
    assert found["joined"] == Selection("values", "TopK", 1)


def test_indices_are_followed_to_what_they_point_into():
    assert pointed_values(top()) == {"narrow": Pointed("best", 1)}
    graph = network(
        "at = ArgMax<axis = 1, keepdims = 0>(scores)\n low = ArgMin<axis = -1>(scores)",
        "int64[1,64] at, int64[1,5,1] low, float[1,5,64] scores",
    )
    assert pointed_values(graph) == {"at": Pointed("scores", 1), "low": Pointed("scores", -1)}
    assert selected_outputs(graph) == {}


def test_what_is_pointed_into_is_given_out():
    feeds = {"x": np.random.default_rng(1).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)}
    with run_graph(with_pointed(top())) as runner:
        found = runner.run(feeds)
    values = found["pointed/narrow"]
    np.testing.assert_array_equal(np.sort(found["values"]), np.sort(values)[:, -9:])
    np.testing.assert_array_equal(np.take_along_axis(values, found["narrow"], 1), found["values"])


def converted(kind: str, tmp_path) -> ir.Model:
    if kind == "fp32":
        return nms()
    if kind != "int8":
        return plain(convert(nms(), {"fp16": FP16, "bf16": BF16}[kind], ()))
    samples = np.random.default_rng(7).normal(0, 1, (32, 1, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", samples[:, 0])
    write_model(nms(), tmp_path / "m.onnx")
    with run_graph(nms()) as runner:
        dataset = open_dataset(tmp_path / "x.npy", runner.inputs, None)
    return plain(quantise(tmp_path / "m.onnx", dataset).model)


@pytest.mark.parametrize(
    ("kind", "bound"), [("fp32", 0.0), ("fp16", 4e-3), ("bf16", 3e-2), ("int8", 0.15)]
)
def test_what_is_selected_from_is_the_same_in_every_precision(kind, bound, tmp_path):
    feeds = {"x": np.random.default_rng(1).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)}
    with run_graph(before_selection(nms())) as runner:
        expected = runner.run(feeds)
    candidate = before_selection(converted(kind, tmp_path))
    with run_graph(rounded(candidate)) as runner:
        found = runner.run({"x": feeds["x"].astype(runner.inputs[0].dtype)})
    names = [name for name in expected if name.startswith("before/")]
    assert names == ["before/0", "before/1", "before/2"]  # boxes, scores, and the boxes laid flat
    assert names == [name for name in found if name.startswith("before/")]
    np.testing.assert_array_equal(expected["before/0"], expected["boxes"])
    for name in names:
        assert found[name].dtype == np.float32
        apart = np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max()
        assert apart <= bound


def test_a_fault_before_the_selection_shows_before_it_whatever_is_selected():
    graph = nms()
    weights = graph.graph.initializers["bias"]
    weights.const_value = ir.tensor(weights.const_value.numpy() + np.float32(0.01), name="bias")
    feeds = {"x": np.random.default_rng(1).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)}
    runs = []
    for each in (nms(), graph):
        with run_graph(before_selection(each)) as runner:
            runs.append(runner.run(feeds))
    for name in ("before/0", "before/1"):
        assert np.abs(runs[0][name] - runs[1][name]).max() > 1e-3


def test_what_counts_rows_is_told_from_rows():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[2,9] x) => (float[2,4] y, int64[2] count, int64[2] index, int64[2] other)
        <int64[1] k = {4}, int64[1] last = {1}, float least = {0.5}>
        { y, i = TopK(x, k) found = Greater(y, least) ones = Cast<to = 7>(found)
          count = ReduceSum<keepdims = 0>(ones, last) index = ArgMax<axis = 1, keepdims = 0>(x)
          twice = Cast<to = 7>(x) other = ReduceSum<keepdims = 0>(twice, last) }"""
    )
    assert counting_outputs(plain(graph)) == {"count"}


def test_what_fills_a_place_that_nothing_has_is_no_number():
    """A detector pads its scores by the least float: no share of that is an error."""
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,3] x) => (float[1,2] y, int64[1,2] i)
        <float[1,2] none = {-3.4e38, -3.4e38}, int64[1] k = {2}>
        { twice = Add(x, x) scores = Concat<axis = 1>(twice, none) y, i = TopK(scores, k) }"""
    )
    x = np.array([[1, np.nan, 3]], np.float32)
    with run_graph(before_selection(plain(graph))) as runner:
        (given,) = [a for n, a in runner.run({"x": x}).items() if n.startswith("before/")]
    np.testing.assert_array_equal(given, [[2, np.nan, 6, 0, 0]])


def test_own_indices_of_a_non_max_suppression_are_a_set():
    feeds = {"x": np.random.default_rng(1).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)}
    with run_graph(nms()) as runner:
        chosen = {"chosen": runner.run(feeds)["chosen"]}
    swapped = chosen["chosen"].copy()
    swapped[:, 1] = (swapped[:, 1] + 1) % 5
    layout = Layout({"chosen": selected_outputs(nms())["chosen"]})
    for got, right in (
        (chosen["chosen"][::-1], True),
        (swapped, False),
        (chosen["chosen"][1:], False),
    ):
        _, theirs = layout.arranged(chosen, {"chosen": got})
        assert theirs["rows of chosen"].all() == right


def test_a_range_that_exporters_make_with_non_zero_is_no_selection():
    graph = network(
        "size = Shape(scores)\n ones = ConstantOfShape(size)\n all = NonZero(ones)",
        "int64[3,n] all, float[1,5,64] scores",
    )
    assert selected_outputs(graph) == {}
    before = len(graph.graph.outputs)
    assert len(before_selection(graph).graph.outputs) == before


def test_a_selection_within_a_branch_has_rows_of_unknown_place():
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,9] x, bool c) => (float[1,m] y) <int64[1] k = {3}> {
            z = Relu(x)
            y = If(c) <then_branch = a () => (float[1,m] v) { v, i = TopK(z, k) },
                       else_branch = b () => (float[1,m] w) { w = Identity(z) }>
        }"""
    )
    assert selected_outputs(plain(graph))["y"].axis is None

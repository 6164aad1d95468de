"""Outputs whose rows are a set, and outputs that point: what passes, and what must not."""

import numpy as np
import pytest

from simam_deploy.verify.matching import match_rows
from simam_deploy.verify.selection import Selection
from simam_deploy.verify.sets import compare_indices, compare_sets, nms_rows, row_scales

SELECTED = {name: Selection("t", "TopK", 1) for name in ("boxes", "scores", "labels")}


def detections(seed=0, batch=2, count=40):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 500, (batch, count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(9, 90, (batch, count, 2))], 2)
    return {
        "boxes": boxes.astype(np.float32),
        "scores": np.sort(rng.uniform(0.3, 1, (batch, count)))[:, ::-1].astype(np.float32),
        "labels": rng.integers(0, 6, (batch, count)),
    }


def worst(found, output):
    return max(c.max_rel for c in found.columns if c.output == output)


def shuffled(outputs, seed=1):
    order = np.random.default_rng(seed).permutation(outputs["scores"].shape[1])
    return {name: array[:, order] for name, array in outputs.items()}


def test_another_order_is_the_same_set():
    (found,) = compare_sets(detections(), shuffled(detections()), SELECTED)
    assert (found.outputs, found.rows, found.lost, found.added) == (tuple(SELECTED), 80, 0, 0)
    assert {column.max_abs for column in found.columns} == {0.0}
    assert [(c.output, c.column) for c in found.columns][:5] == [
        *(("boxes", i) for i in range(4)), ("scores", 0)
    ]  # fmt: skip


def test_ties_in_another_order_are_the_same_set():
    tied = detections()
    tied["scores"][:] = 0.5
    tied["boxes"][:, 1::2] = tied["boxes"][:, ::2]
    (found,) = compare_sets(tied, shuffled(tied), SELECTED)
    assert (found.lost, found.added, worst(found, "boxes")) == (0, 0, 0.0)


def test_scores_that_shrank_are_found_beside_boxes_in_pixels():
    faulty = shuffled(detections())
    faulty["scores"] = faulty["scores"] * np.float32(0.95)
    (found,) = compare_sets(detections(), faulty, SELECTED)
    assert (found.lost, found.added) == (0, 0)
    assert worst(found, "scores") == pytest.approx(0.05, rel=0.02)
    assert worst(found, "boxes") == 0.0


def test_boxes_that_moved_by_a_pixel_are_found():
    faulty = shuffled(detections())
    faulty["boxes"] = faulty["boxes"] + np.float32(1)
    (found,) = compare_sets(detections(), faulty, SELECTED)
    assert (found.lost, found.added) == (0, 0)
    assert {round(c.max_abs, 3) for c in found.columns if c.output == "boxes"} == {1.0}
    assert worst(found, "scores") == 0.0


def test_two_classes_that_were_swapped_are_lost_and_added():
    faulty = detections()
    labels = faulty["labels"].copy()
    faulty["labels"] = np.where(labels == 2, 5, np.where(labels == 5, 2, labels))
    (found,) = compare_sets(detections(), faulty, SELECTED)
    assert found.lost == found.added == np.isin(labels, (2, 5)).sum()


@pytest.mark.parametrize("padding", [0, -1])
def test_rows_that_are_lost_or_added_are_counted_and_padding_is_not(padding):
    fewer = detections()
    for array in fewer.values():
        array[1, 7] = padding
    for one, other, counts in [
        (detections(), fewer, (80, 1, 0)),
        (fewer, detections(), (79, 0, 1)),
        (fewer, shuffled(fewer), (79, 0, 0)),
    ]:
        (found,) = compare_sets(one, other, SELECTED)
        assert (found.rows, found.lost, found.added) == counts


def test_a_count_of_rows_may_differ_other_sizes_may_not():
    some = {name: array[:, :-3] for name, array in detections().items()}
    (found,) = compare_sets(detections(), some, SELECTED)
    assert (found.lost, found.added) == (6, 0)
    (found,) = compare_sets(detections(), {**some, "scores": detections()["scores"]}, SELECTED)
    assert found.reason == "the candidate's outputs differ in rows"
    (found,) = compare_sets(detections(), detections(batch=1), SELECTED)
    assert "boxes: shape (1, 40, 4), expected (2, 40, 4)" in found.reason
    (found,) = compare_sets(detections(), {}, SELECTED)
    assert found.reason == "boxes: output missing"


def test_outputs_of_two_selections_are_two_sets():
    apart = {**SELECTED, "scores": Selection("other", "TopK", 1)}
    assert [found.outputs for found in compare_sets(detections(), detections(), apart)] == [
        ("boxes", "labels"), ("scores",)
    ]  # fmt: skip
    unknown = {"boxes": Selection("t", "If", None)}
    assert compare_sets(detections(), detections(), unknown) == []


def test_masks_are_compared_with_the_rows_that_they_belong_to():
    one = detections()
    one["masks"] = np.random.default_rng(3).uniform(0, 1, (2, 40, 7, 7)).astype(np.float32)
    other = shuffled(one)
    other["masks"] = other["masks"].copy()
    other["masks"][1, 5, 3, 3] += 0.5
    (found,) = compare_sets(one, other, {**SELECTED, "masks": SELECTED["boxes"]})
    assert (found.lost, found.added, worst(found, "boxes")) == (0, 0, 0.0)
    assert max(c.max_abs for c in found.columns if c.output == "masks") == pytest.approx(0.5)


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (0, 3), (3, 0)])
def test_empty_sets(ours, theirs):
    match = match_rows(np.ones((ours, 5)), np.ones((theirs, 5)), 1.0)
    assert (len(match.pairs), len(match.lost), len(match.added)) == (0, ours, theirs)
    assert match.differences.tolist() == [0.0] * 5
    empty = {"y": np.zeros((ours, 5), np.float32)}, {"y": np.zeros((theirs, 5), np.float32)}
    (found,) = compare_sets(*empty, {"y": Selection("t", "NonMaxSuppression", 0)})
    assert found.reason == ""


def test_class_zero_alone_in_a_row_is_no_padding():
    match = match_rows(np.zeros((3, 1)), np.zeros((2, 1)), 1.0)
    assert (len(match.pairs), len(match.lost)) == (2, 1)
    places = {"y": np.zeros((3, 2), np.int64)}, {"y": np.zeros((2, 2), np.int64)}
    (found,) = compare_sets(*places, {"y": Selection("t", "NonZero", 0)})
    assert (found.rows, found.lost) == (3, 1)


def test_the_nearest_pair_comes_first_and_is_given_up_where_another_suffers():
    match = match_rows(np.array([[0.0], [1.0]]), np.array([[1.7], [0.6]]), 2.0)
    assert match.pairs.tolist() == [[0, 1], [1, 0]]
    assert match.differences == pytest.approx([0.7])


def test_what_is_out_of_reach_is_no_pair():
    match = match_rows(np.array([[1.0], [5.0]]), np.array([[5.5], [9.0]]), 1.0)
    assert (match.pairs.tolist(), match.lost.tolist(), match.added.tolist()) == ([[1, 0]], [0], [1])


def test_ten_thousand_rows_find_their_own():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.uniform(0, 640, (10_000, 4)), rng.integers(0, 80, (10_000, 1))], 1)
    order = rng.permutation(10_000)
    moved = (rows + np.where(np.arange(5) < 4, 1e-3, 0))[order]
    match = match_rows(rows, moved, row_scales(rows))
    assert (order[match.pairs[:, 1]] == match.pairs[:, 0]).all()
    assert match.differences == pytest.approx([1e-3] * 4 + [0], abs=1e-9)


def test_a_crowd_of_equal_rows_is_paired_whole():
    rows = np.tile([[3.0, 4.0, 0.5]], (3000, 1))
    noisy = rows + np.random.default_rng(0).normal(0, 1e-6, rows.shape)
    match = match_rows(rows, noisy, row_scales(rows))
    assert len(match.pairs) == 3000


def test_pairs_are_those_that_brute_force_finds():
    scipy = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(5)
    for _ in range(20):
        a = rng.uniform(0, 10, (12, 3))
        b = (a + rng.normal(0, 0.2, a.shape))[rng.permutation(12)]
        distance = np.abs(a[:, None] - b[None]).max(-1)
        best = distance[scipy.linear_sum_assignment(distance**8)].max()
        match = match_rows(a, b, 3.0)
        assert distance[tuple(match.pairs.T)].max() == pytest.approx(best)


def test_nms_indices_become_what_they_select():
    boxes = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    scores = np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 2, 3)
    rows = nms_rows(np.array([[1, 0, 2], [0, 1, 9]]), boxes, scores)
    assert rows[0].tolist() == [1, 0, 20, 21, 22, 23, scores[1, 0, 2]]
    assert rows[1].tolist() == [0, 1, -1, -1, -1, -1, -1]


VALUES = np.random.default_rng(2).uniform(0, 1, (3, 50))
BEST = np.argsort(-VALUES, axis=1)[:, :5]


def test_indices_that_differ_are_judged_by_the_values_that_they_point_to():
    tied = VALUES.copy()
    tied[0, 7] = tied[0, BEST[0, 0]] - 1e-4
    got = BEST.copy()
    got[0, 0] = 7
    found = compare_indices(BEST, got, tied, 1)
    assert (found.count, found.moved, found.reason) == (15, 1, "")
    assert found.max_abs == pytest.approx(1e-4)
    assert compare_indices(BEST, BEST[:, ::-1], VALUES, 1).max_abs > 1e-3  # the order is theirs too


@pytest.mark.parametrize("step", [1, -1])
def test_indices_that_are_all_off_by_one_are_refused_whatever_the_values(step):
    inner = np.clip(BEST, 1, 48)
    inner[:] = np.arange(10, 15)
    for values in (VALUES, np.ones_like(VALUES)):
        found = compare_indices(inner, inner + step, values, 1)
        assert (found.max_abs, found.reason) == (np.inf, f"every index is off by {step}")


def test_indices_outside_and_indices_given_twice_are_refused():
    out, twice = BEST.copy(), BEST.copy()
    out[2, 4] = 50
    twice[1, 1] = twice[1, 0]
    assert "outside of 0 to 49" in compare_indices(BEST, out, VALUES, 1).reason
    assert "given twice" in compare_indices(BEST, twice, np.ones_like(VALUES), 1).reason


def test_indices_along_any_axis_and_in_any_shape():
    values = np.random.default_rng(4).uniform(0, 1, (2, 5, 3))
    best = values.argmax(1)
    for shaped in (best, best[:, None], best.reshape(-1)):
        assert compare_indices(shaped, shaped, values, 1).max_abs == 0.0
    other = best.copy()
    other[1, 2] = values[1, :, 2].argmin()
    found = compare_indices(best, other, values, -2)
    assert found.max_abs == pytest.approx(np.ptp(values[1, :, 2]))

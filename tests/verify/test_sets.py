"""Rows of sets, paired, and outputs that point: what passes, and what must not."""

import numpy as np
import pytest

from simam_deploy.verify.matching import match_rows
from simam_deploy.verify.sets import compare_indices, row_scales


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (0, 3), (3, 0)])
def test_empty_sets(ours, theirs):
    match = match_rows(np.ones((ours, 5)), np.ones((theirs, 5)), 1.0)
    assert (len(match.pairs), len(match.lost), len(match.added)) == (0, ours, theirs)
    assert match.differences.tolist() == [0.0] * 5


def test_class_zero_alone_in_a_row_is_no_padding():
    match = match_rows(np.zeros((3, 1)), np.zeros((2, 1)), 1.0)
    assert (len(match.pairs), len(match.lost)) == (2, 1)


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
    nearly = np.ones_like(VALUES) + 1e-9 * VALUES
    for values in (VALUES, nearly):
        found = compare_indices(inner, inner + step, values, 1)
        assert (found.max_abs, found.reason) == (np.inf, f"every index is off by {step}")
    assert compare_indices(inner, inner + step, np.ones_like(VALUES), 1).max_abs == 0


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

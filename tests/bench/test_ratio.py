"""The interval of a ratio: it holds what is there, and nothing narrower is claimed."""

import math

import numpy as np
import pytest

from simam_deploy.bench.ratio import CONFIDENCE, LEAST_STARTS, ratio_of


def drawn(rng, starts, true=1.0, of_start=0.02, of_round=0.05):
    """Rounds of two processes: each start has a factor of its own, and each round its noise."""
    first, other = [], []
    for _ in range(starts):
        factor = math.exp(of_start * rng.standard_normal())
        weather = np.exp(0.5 * rng.standard_normal(9))  # hits both
        first.append(list(weather * np.exp(of_round * rng.standard_normal(9))))
        other.append(list(weather / true * factor * np.exp(of_round * rng.standard_normal(9))))
    return first, other


@pytest.mark.parametrize("starts", [3, 7, 25])
def test_the_interval_holds_the_truth_as_often_as_it_says(starts):
    rng = np.random.default_rng(0)
    found = [ratio_of(*drawn(rng, starts, 0.95), "wall") for _ in range(400)]
    held = np.mean([r.low <= 0.95 <= r.high for r in found])
    # Binomial: 400 draws of 0.95 have a standard deviation of 0.011; four of them.
    assert held == pytest.approx(CONFIDENCE, abs=0.044)


def test_more_rounds_of_the_same_starts_do_not_narrow_what_starts_differ_by():
    rounds = [[1.0] * 1000] * 3
    shifted = [[1.0 / s] * 1000 for s in (0.98, 1.0, 1.02)]
    ratio = ratio_of(rounds, shifted, "processor")
    spread = np.std(np.log([0.98, 1.0, 1.02]), ddof=1)
    # 4.303 is Student's t at 0.975 for two degrees of freedom.
    assert math.log(ratio.high / ratio.value) == pytest.approx(4.303 * spread / math.sqrt(3))


def test_a_slowdown_of_5_percent_is_seen_and_none_is_not():
    rng = np.random.default_rng(1)
    quiet = {"of_start": 0.01, "of_round": 0.02}  # half widths of 1.5 %
    slower = [ratio_of(*drawn(rng, 7, 0.95, **quiet), "wall").differs for _ in range(100)]
    same = [ratio_of(*drawn(rng, 7, **quiet), "wall").differs for _ in range(100)]
    assert np.mean(slower) > 0.95
    assert np.mean(same) < 0.14  # 0.05, and four standard deviations of 100 draws


def test_a_ratio_is_times_as_fast():
    ratio = ratio_of([[2.0]] * 3, [[1.0]] * 3, "wall")
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2))
    assert ratio.inverse.value == pytest.approx(0.5)


def test_a_burst_in_some_rounds_moves_nothing():
    first, other = [[1.0] * 9] * 3, [[1.0] * 5 + [9.0] * 4] * 3
    assert ratio_of(first, other, "wall").value == pytest.approx(1)


def test_too_few_starts_give_no_interval():
    ratio = ratio_of([[1.0]] * (LEAST_STARTS - 1), [[2.0]] * (LEAST_STARTS - 1), "wall")
    assert (ratio.value, ratio.low, ratio.high, ratio.differs) == (0.5, None, None, False)


def test_rounds_that_only_one_had_are_left_out():
    assert ratio_of([[2.0, 2.0, 99.0]], [[1.0, 1.0]], "wall").value == pytest.approx(2)
    assert ratio_of([[1.0]], [[]], "wall") is None

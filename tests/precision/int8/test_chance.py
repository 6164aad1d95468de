"""What chance may do to a slice: Fisher's quantiles, and draws that are known to be alike."""

from statistics import NormalDist

import numpy as np
import pytest

from simam_deploy.precision.int8.chance import by_chance, fisher, variations
from simam_deploy.precision.int8.compare import compare
from simam_deploy.precision.int8.slices import Change, Tally, cuts


@pytest.mark.parametrize(
    ("chance", "over", "under", "table"),
    [(0.05, 4, 12, 3.26), (0.01, 5, 10, 5.64), (0.01, 12, 60, 2.50), (0.001, 10, 30, 4.24)],
)
def test_quantiles_of_f(chance, over, under, table):
    """Of Fisher and Yates' tables."""
    z = NormalDist().inv_cdf(1 - chance)
    found = fisher(z, np.array([float(over)]), np.array([float(under)]))
    assert found[0] == pytest.approx(table, rel=0.03)


def test_few_degrees_tell_nothing():
    assert by_chance(np.array([2.5]), 4, 10)[0] == np.inf
    assert 1 < by_chance(np.array([0.01]), 4, 10)[0] < 1.7


def change(exact, got):
    found = Change()
    found.add(exact, got, len(exact))
    return found


def tally(exact):
    found = Tally()
    found.add(np.square(exact, dtype=np.float64), len(exact))
    return found


def network(seed, samples=64, slices=40):
    """An output of which every second slice is all but zero, save in one sample."""
    rng = np.random.default_rng(seed)
    exact = rng.standard_normal((samples, slices, 5))
    exact[:-1, ::2] *= 1e-3
    return rng, exact


def judged(seed, fault=lambda y: y):
    rng, exact = network(seed)
    drawn = [change(exact, exact * (1 + rng.normal(0, 0.02, exact.shape))) for _ in range(4)]
    got = fault(exact * (1 + rng.normal(0, 0.02, exact.shape)))
    return list(compare("c", "y", tally(exact), change(exact, got), drawn))


def test_no_slice_fails_by_chance_though_one_sample_holds_all_of_it():
    failed = [r for seed in range(100) for r in judged(seed) if not r.passed]
    assert failed == []


def test_variation_is_larger_where_one_sample_holds_all():
    rng, exact = network(0)
    drawn = [change(exact, exact + rng.normal(0, 0.02, exact.shape) * exact) for _ in range(4)]
    varied = variations([draw.squares.by_cut() for draw in drawn])["[:, {}]"]
    assert varied[::2].min() > 10 * varied[1::2].max()
    assert 2 / 5 < np.median(varied[::2]) * 2 < 8 / 5  # five values: 2/5 in the mean of the draws


def test_a_slice_that_is_off_by_a_factor():
    """One that all samples hold: of what one sample holds, too little is told."""

    def fault(y):
        y[:, 1] *= 1.1
        return y

    wrong = [result.output for result in judged(1, fault) if not result.passed]
    assert "y[:, 1] scaled" in wrong


def test_a_slice_that_is_zero():
    def fault(y):
        y[:, 3] = 0
        return y

    wrong = [result.output for result in judged(1, fault) if not result.passed]
    assert "y[:, 3]" in wrong


def test_two_slices_that_are_swapped():
    wrong = [r.output for r in judged(1, lambda y: y[:, [1, 0, *range(2, 40)]]) if not r.passed]
    assert any(output.startswith("y[:, ") for output in wrong)


@pytest.mark.parametrize(
    ("rank", "names"),
    [(0, [""]), (1, [""]), (2, ["", "[:, {}]"]), (4, ["", "[:, {}]", "[..., {}]"])],
)
def test_ways_to_cut(rank, names):
    assert list(cuts(rank)) == names


@pytest.mark.parametrize("shape", [(), (6,), (6, 3), (6, 3, 4), (5, 3, 4)])
def test_sums_by_sample_and_slice(shape):
    """Of six samples; what has no axis of six counts as one."""
    values = np.random.default_rng(0).uniform(size=shape)
    found = Tally()
    for _ in range(2):
        found.add(values, 6)
    rows = 2 * (6 if shape[:1] == (6,) else 1)
    for cut, axis in cuts(len(shape)).items():
        sums = found.by_cut()[cut]
        assert sums.shape == (rows, 1 if axis is None else shape[axis])
        others = tuple(i for i in range(len(shape)) if i != axis)
        whole = values.sum() if axis is None else values.sum(axis=others)
        np.testing.assert_allclose(sums.sum(axis=0), 2 * whole)


def test_slices_that_differ_in_number_are_left_out():
    found = Tally()
    found.add(np.ones((2, 3, 4)), 2)
    found.add(np.ones((2, 5, 4)), 2)
    assert list(found.by_cut()) == ["", "[..., {}]"]

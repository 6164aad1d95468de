"""Indices are judged by how many change: of two close values a right conversion may flip one."""

import numpy as np
import pytest

from simam_deploy.precision.int8.compare import compare
from simam_deploy.precision.int8.slices import Change, Tally, magnitudes

SAMPLES, CELLS = 64, 50
RIGHT = np.random.default_rng(0).integers(0, 6, (SAMPLES, CELLS))


def changed(count: int, seed: int = 1) -> np.ndarray:
    """The indices with `count` of them one higher, each in a place of its own."""
    found = RIGHT.copy()
    places = np.random.default_rng(seed).permutation(RIGHT.size)[:count]
    found.reshape(-1)[places] += 1
    return found


def of(indices: np.ndarray) -> Change:
    change = Change()
    for start in range(0, SAMPLES, 8):
        change.add(RIGHT[start : start + 8], indices[start : start + 8], 8)
    return change


def passes(count: int, in_draws: int, shift: int = 0) -> bool:
    size = Tally()
    size.add(magnitudes(RIGHT), SAMPLES)
    drawn = [of(changed(in_draws, seed)) for seed in range(2, 6)]
    results = list(compare("case", "labels", size, of(changed(count) + shift), drawn, counted=True))
    assert len(results) == 1
    return all(result.passed for result in results)


@pytest.mark.parametrize(
    ("in_draws", "right", "wrong"), [(0, 4, 5), (1, 4, 5), (20, 80, 81), (100, 400, 401)]
)
def test_as_many_as_noise_changes_twice_over(in_draws, right, wrong):
    assert passes(right, in_draws)
    assert not passes(wrong, in_draws)


@pytest.mark.parametrize("in_draws", [0, 20, 100])
def test_all_off_by_one_is_refused(in_draws):
    assert not passes(0, in_draws, shift=1)


def test_another_shape_is_refused():
    change = Change()
    change.add(RIGHT, RIGHT[:, :-1], SAMPLES)
    assert "another shape" in change.reason

"""The histogram against NumPy on all values at once, and the range against a search."""

import numpy as np
import pytest

from simam_deploy.precision.int8.histogram import BINS, Histogram

RNG = np.random.default_rng(0)
DRAWS = {
    "normal": RNG.standard_normal(40_000),
    "half of it zero": np.maximum(RNG.standard_normal(40_000), 0),
    "heavy tails": RNG.standard_t(3, 40_000),
    "even": RNG.uniform(-1, 1, 40_000),
}


def loss(values, limit, levels=127):
    steps = np.clip(np.rint(values / (limit / levels)), -levels, levels)
    return np.sqrt(np.mean((steps * limit / levels - values) ** 2))


def counted(*parts):
    histogram = Histogram()
    for part in parts:
        histogram.add(np.asarray(part, np.float32))
    return histogram


@pytest.mark.parametrize("levels", [127, 63])
@pytest.mark.parametrize("kind", DRAWS)
def test_no_range_loses_less(kind, levels):
    values = DRAWS[kind]
    found = loss(values, counted(values).best_range(levels), levels)
    largest = np.abs(values).max()
    least = min(loss(values, f * largest, levels) for f in np.linspace(0.02, 1.2, 400))
    assert found <= 1.01 * least


def test_even_values_are_not_clipped_and_few_levels_clip_a_normal_tail():
    assert 0.97 < counted(DRAWS["even"]).best_range() <= 1
    normal = DRAWS["normal"]
    assert counted(normal).best_range(7) < 0.8 * np.abs(normal).max()


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_batches_add_up_whatever_their_order(order):
    parts = [scale * RNG.standard_normal(1000) for scale in (1, 2, 3, 50)][order]
    histogram = counted(*parts)
    values = np.abs(np.concatenate(parts).astype(np.float32))
    want, _ = np.histogram(values, BINS, range=(0, histogram.limit))
    assert histogram.counts.sum() == 4000
    assert np.abs(np.cumsum(histogram.counts) - np.cumsum(want)).max() <= 4  # float32's rounding


def test_an_outlier_costs_no_memory():
    histogram = counted([1e-6], [1e30], [1.0])
    assert histogram.counts.shape == (BINS,)
    assert histogram.counts.sum() == 3
    assert histogram.best_range() >= 0.9e30


def test_zeros_have_no_range():
    assert counted(np.zeros(9)).best_range() == 0
    assert 2.97 < counted(np.zeros(9), [3.0]).best_range() <= 3  # within a step, 3 / 127

"""The histogram against NumPy on all values at once, and the range against a search."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.precision.int8.formats import FP8, INT8, Format, seven_bits
from simam_deploy.precision.int8.histogram import BINS, Histogram

RNG = np.random.default_rng(0)
DRAWS = {
    "normal": RNG.standard_normal(40_000),
    "half of it zero": np.maximum(RNG.standard_normal(40_000), 0),
    "heavy tails": RNG.standard_t(3, 40_000),
    "even": RNG.uniform(-1, 1, 40_000),
}


FOUR_BITS = Format("int4", ir.DataType.INT8, 7, ((7, 1.0),), folds_add=True)


def loss(values, limit, numbers):
    scale = limit / numbers.largest
    rounded = numbers.stored(values / scale).astype(np.float64) * scale
    return np.sqrt(np.mean((rounded - values) ** 2))


def counted(*parts):
    histogram = Histogram()
    for part in parts:
        histogram.add(np.asarray(part, np.float32))
    return histogram


@pytest.mark.parametrize(
    ("numbers", "times"),
    [(INT8, 1.01), (seven_bits(INT8), 1.01), (FP8, 1.03)],  # FP8's few large steps are of chance
    ids=["int8", "int7", "fp8"],
)
@pytest.mark.parametrize("kind", DRAWS)
def test_no_range_loses_less(kind, numbers, times):
    values = DRAWS[kind]
    found = loss(values, counted(values).best_range(numbers), numbers)
    largest = np.abs(values).max()
    least = min(loss(values, f * largest, numbers) for f in np.linspace(0.02, 1.2, 400))
    assert found <= times * least


@pytest.mark.parametrize("times", [0.01, 0.3, 1, 1.7, 40, 3000])
@pytest.mark.parametrize("kind", DRAWS)
def test_what_fp8_loses_at_any_scale(kind, times):
    """Clipped, rounded in every octave, or lost among the smallest numbers; 8 % off where the
    largest values fill a seventh of a step."""
    values = DRAWS[kind]
    limit = times * np.abs(values).max()
    counts = counted(values)
    foreseen = np.sqrt(counts.errors(np.array([limit]), FP8).item() / len(values))
    assert foreseen == pytest.approx(loss(values, limit, FP8), rel=0.1)


def test_even_values_are_not_clipped_and_few_levels_clip_a_normal_tail():
    assert 0.97 < counted(DRAWS["even"]).best_range() <= 1
    normal = DRAWS["normal"]
    assert counted(normal).best_range(FOUR_BITS) < 0.8 * np.abs(normal).max()


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

"""What a scale may lose: tight where samples agree, six and a half bits where they do not."""

import numpy as np
import pytest

from simam_deploy.precision.int8.formats import INT8, seven_bits
from simam_deploy.precision.int8.histogram import best_range
from simam_deploy.precision.int8.spread import Spread


def spread(one, other):
    found = Spread()
    for half, parts in ((one, found.parts[:2]), (other, found.parts[2:])):
        for i, part in enumerate(parts):
            part.add(np.asarray(half[i::2], np.float32))
    return found


def drawn(seed, size=200_000):
    return np.random.default_rng(seed).standard_normal(size)


def factor(found, times):
    """Loss of `times` the best range, in units of what is allowed."""
    return found.loss(times * found.best_range()) / found.allowed


def test_where_halves_agree_half_a_bit_is_allowed():
    found = spread(drawn(0), drawn(1))
    assert factor(found, 1.0) == pytest.approx(1 / 1.4, rel=0.02)
    assert factor(found, 1.3) < 1
    assert factor(found, 2) > 1.2
    assert factor(found, 0.5) > 1.2
    assert 0.35 < found.disagreement < 0.45


def best_of(found, numbers):
    """The range that loses least, and what it is a range of."""
    return np.array([best_range(found.parts, numbers)]), numbers


def test_where_they_do_not_seven_bits_are_the_bound():
    """The halves would allow more than 2.6 times the best loss; six and a half bits are less."""
    found = spread(drawn(0), 5 * drawn(1))
    best = found.loss(found.best_range())
    assert 1.4 * found.crossed > 2.6 * best
    assert found.allowed == found.most
    fewer = seven_bits(INT8)
    seven = np.sqrt(sum(part.errors(*best_of(found, fewer)) for part in found.parts)).item()
    limits = found.best_range() * np.linspace(1, 4, 200)
    worst = max(loss for limit in limits if (loss := found.loss(limit)) <= found.allowed)
    assert 1.35 < worst / seven <= 1.4  # six bits and a half, and no more


def test_halves_that_settle_no_range():
    assert spread(drawn(0), 1.2 * drawn(1)).disagreement < 1
    assert spread(drawn(0), 5 * drawn(1)).disagreement > 1


def test_a_half_that_is_zero_settles_none():
    assert spread(drawn(0), np.zeros(9)).disagreement > 1


def test_zeros_lose_nothing():
    found = spread(np.zeros(9), np.zeros(9))
    assert (found.best_range(), found.allowed, found.disagreement) == (0, 0, 0)


def test_loss_is_what_quantising_loses():
    values = drawn(0).astype(np.float32)
    found = spread(values[::2], values[1::2])
    for limit in (1.0, 3.0, 4.5, 9.0):
        steps = np.clip(np.rint(values / (limit / 127)), -127, 127) * limit / 127
        assert found.loss(limit) == pytest.approx(np.linalg.norm(steps - values), rel=0.01)

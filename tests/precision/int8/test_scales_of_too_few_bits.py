"""A scale three times too large: finer than a wreck, and worse than calibration may leave it."""

import numpy as np
import pytest

from tests.precision.int8.networks import replace, small


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return small(tmp_path_factory.mktemp("small"))


def judged(network, name, factor, folder):
    """Judge one tensor, its scale `factor` times what calibration gave."""

    def fault(graph):
        scale = graph.graph.initializers[f"{name}/scale"]
        replace(scale, scale.const_value.numpy() * np.float32(factor))

    tensors = network.verdict(network.faulty(fault, folder)).tensors
    return next(tensor for tensor in tensors if tensor.name == name)


@pytest.mark.parametrize("name", ["r", "s"])
def test_a_scale_that_leaves_six_bits_and_a_half(name, network, tmp_path):
    """It loses 1.4 to 1.6 times what the best scale of seven bits does, which is too much."""
    check = judged(network, name, 3, tmp_path)
    assert not check.passed
    assert check.error < 1.15 * check.allowed


@pytest.mark.parametrize("name", ["r", "s"])
def test_a_bit_is_what_other_samples_may_cost(name, network, tmp_path):
    assert judged(network, name, 2, tmp_path).passed

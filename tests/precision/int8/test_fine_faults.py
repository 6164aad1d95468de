"""Faults that are finer than a wreck, and worse than calibration or rounding may leave it."""

import dataclasses

import numpy as np
import pytest

from tests.precision.int8.networks import replace, small, weight_of, weights


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    network = small(tmp_path_factory.mktemp("small"))
    samples = np.random.default_rng(0).standard_normal((64, 4, 9, 9)).astype(np.float32)
    np.save(network.samples, samples)
    return dataclasses.replace(network, others=samples)


def scaled(name, factor):
    def fault(graph):
        scale = graph.graph.initializers[f"{name}/scale"]
        replace(scale, scale.const_value.numpy() * np.float32(factor))

    return fault


def judged(network, name, factor, folder):
    """Judge one tensor, its scale `factor` times what calibration gave."""

    return named(name, network.verdict(network.faulty(scaled(name, factor), folder)))


def named(name, verdict):
    return next(tensor for tensor in verdict.layers if tensor.name == name)


@pytest.mark.parametrize(
    ("name", "factor"), [("s", 2), ("s", 0.5), ("r", 0.5), ("r", 2.5)]
)  # the halves of r lose 1.4 times the best, so that twice its scale is within half a bit of that
def test_a_scale_off_by_two_where_samples_agree(name, factor, network, tmp_path):
    assert named(name, network.verdict()).passed
    check = judged(network, name, factor, tmp_path)
    assert not check.passed
    assert check.kind == "range"


@pytest.mark.parametrize("name", ["r", "s"])
def test_a_scale_that_other_samples_may_give(name, network, tmp_path):
    assert judged(network, name, 1.3, tmp_path).passed


@pytest.mark.parametrize(("factor", "passes"), [(1.0005, True), (1.01, False), (0.99, False)])
def test_a_scale_beside_the_range_that_is_stated(factor, passes, network, tmp_path):
    """The manifest states it: float32's rounding is all that may lie between."""
    ranges = network.quantised.calibration["ranges"]
    verdict = network.verdict(network.faulty(scaled("s", factor), tmp_path), ranges=ranges)
    assert named("s", verdict).passed is passes


def test_weights_that_are_rounded_upwards(network, tmp_path):
    """A quarter step up in front of rounding: off by 1.3 to 1.5 half steps, where 1 is allowed."""

    def fault(graph):
        stored = weight_of(graph, "two")
        scale = graph.graph.initializers["w2/scale"].const_value.numpy().reshape(-1, 1, 1, 1)
        steps = np.rint(weights()["w2"] / scale + 0.25)
        replace(stored, np.clip(steps, -127, 127).astype(np.int8))

    check = named("w2", network.verdict(network.faulty(fault, tmp_path)))
    assert not check.passed
    assert check.error_ulps < 1.5


def test_an_output_that_costs_more_than_a_bit(network, tmp_path):
    """A scale two and a half times too large shows in what it costs the output, too."""
    verdict = network.verdict(network.faulty(scaled("r", 2.5), tmp_path))
    result = verdict.results[0]
    assert not result.passed
    assert result.max_rel < 1.25 * result.allowed

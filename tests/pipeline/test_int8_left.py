"""What is left in float32: found by tensor, by output, listed with a reason; faults are refused."""

import dataclasses
import importlib

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model
from simam_deploy.pipeline.int8_left import Trials, settle
from simam_deploy.precision.int8 import measure, pairs
from simam_deploy.precision.int8.placement import Choice, name_of
from tests.precision.int8.networks import BLOCK, small

QUANTISE = importlib.import_module("simam_deploy.precision.int8.quantise")
WANDERING = (
    "s1 = Relu(c) s2 = Mul(s1, s1) s4 = Mul(s2, s2) s8 = Mul(s4, s4) s16 = Mul(s8, s8) "
    "s = Mul(s16, s16)"
)
"""The 32nd power: the largest of one sample is far from that of the next."""


def drawn(samples=24):
    return np.random.default_rng(3).standard_normal((samples, 4, 9, 9)).astype(np.float32)


@pytest.fixture
def trials(tmp_path):
    return made(tmp_path)


def made(folder, text="", calibrated=None, judged=None):
    calibrated = drawn() if calibrated is None else calibrated
    network = small(folder, text)
    np.save(network.samples, calibrated)
    network = dataclasses.replace(network, others=calibrated if judged is None else judged)
    return Trials(measure(network.file, network.dataset()), network.judged, folder / "int8.onnx")


def settled(trials):
    told = []
    quantised, report = settle(trials, told.append)
    return quantised, report, [line for line in told if line.startswith("trial")]


def test_a_clean_conversion_leaves_nothing(trials):
    quantised, report, tried = settled(trials)
    assert report.passed
    assert quantised.names == ("two", "three")
    assert (quantised.left, tried) == ({}, [])


def test_a_tensor_whose_samples_settle_no_range(tmp_path):
    quantised, report, tried = settled(made(tmp_path, BLOCK.replace("s = Relu(c)", WANDERING)))
    assert report.passed
    assert quantised.names == ("two",)
    assert tried == []
    assert list(quantised.left) == ["three"]
    assert "the range of s on half of the samples loses" in quantised.left["three"]
    assert any(line.startswith("three (the range of s") for line in quantised.kept)
    assert quantised.calibration["left_in_float32"] == quantised.left
    assert quantised.calibration["layers"] == 1


def test_a_tensor_that_is_quantised_badly_on_what_it_is_judged_on(tmp_path):
    """Its range is for one sample in two, which are not among those that it is judged on."""
    calibrated = drawn(48)
    large = np.arange(48) // 4 % 2 == 0
    calibrated[large] *= 4
    trials = made(tmp_path, calibrated=calibrated, judged=calibrated[~large])
    assert trials.measured.quantised(Choice()).left == {}
    with pytest.raises(InputError, match="the samples leave . a loss of .* times its bound"):
        settle(trials, lambda step: None)


def test_nothing_is_left_to_be_int8(tmp_path):
    calibrated = drawn()
    calibrated[::2] *= 30
    with pytest.raises(InputError, match="no layer that could be int8: the range of r on half"):
        settle(made(tmp_path, calibrated=calibrated), lambda step: None)


def wrong_scale(graph, placement, ranges):
    pairs.insert_pairs(graph, placement, {**ranges, "s": 4 * ranges["s"]})


def wrong_in_two(graph, placement, ranges):
    """Wherever layer two is int8, what it gives is a tenth too large."""
    pairs.insert_pairs(graph, placement, ranges)
    for layer in placement.layers:
        if name_of(layer) == "two":
            grown(graph, layer.outputs[0])


def wrong_everywhere(graph, placement, ranges):
    """The last layer, which is float32, gives a tenth too much."""
    pairs.insert_pairs(graph, placement, ranges)
    grown(graph, next(v for node in graph for v in node.outputs if v.name == "u"))


def grown(graph, value):
    factor = ir.val("factor", const_value=ir.tensor(np.float32(1.1), name="factor"))
    graph.register_initializer(factor)
    uses = list(value.uses())
    node = ir.node("Mul", [value, factor])
    node.outputs[0].shape, node.outputs[0].type = value.shape, value.type
    for use in uses:
        use.node.replace_input_with(use.idx, node.outputs[0])
    graph.insert_after(value.producer(), node)


@pytest.fixture
def planted(monkeypatch):
    return lambda fault: monkeypatch.setattr(QUANTISE, "insert_pairs", fault)


def test_a_scale_that_was_not_measured_is_a_fault_and_left_nowhere(trials, planted):
    planted(wrong_scale)
    quantised, report, tried = settled(trials)
    assert not report.passed
    assert [check.name for check in report.layers if not check.passed] == ["s"]
    assert (quantised.layers, tried) == (2, [])


def test_a_layer_that_costs_too_much_is_found_by_bisection(trials, planted):
    planted(wrong_in_two)
    quantised, report, tried = settled(trials)
    assert report.passed
    assert quantised.left == {"two": "with it an output costs more than eight bits must"}
    assert quantised.names == ("three",)
    assert len(tried) <= 5
    assert "factor" not in read_model(trials.file).graph.initializers


def test_a_fault_in_no_layer_is_refused_at_once(trials, planted):
    planted(wrong_everywhere)
    quantised, report, tried = settled(trials)
    assert not report.passed
    assert quantised.layers == 2
    assert len(tried) <= 3

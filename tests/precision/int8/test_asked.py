"""Which layers are int8 when some are named, and what is said when none has the name."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.errors import UsageError
from simam_deploy.graph.file.read import read_model
from simam_deploy.pipeline.int8_left import Trials, settle
from simam_deploy.precision.int8 import judge, measure
from simam_deploy.precision.int8.asked import UNASKED, choose
from simam_deploy.precision.int8.placement import Choice
from tests.graph.onnx_text import model
from tests.precision.int8.networks import BLOCK, block, small, weights


def left(asked, text=BLOCK):
    return choose(model(text, **weights()), asked).left


@pytest.mark.parametrize(
    ("asked", "unwanted"),
    [
        ("all", []),
        ("two", ["three"]),
        ("w3", ["two"]),
        ("t*", []),
        ("two, w3", []),
        ("w[3-9]", ["two"]),
    ],
)
def test_layers_are_named_by_themselves_or_their_weights(asked, unwanted):
    assert left(asked) == dict.fromkeys(unwanted, UNASKED)


@pytest.mark.parametrize(
    ("asked", "near"),
    [("thre", "'three'"), ("two,TWO", "'TWO'"), ("one", "like 'one'"), ("", "like ''"),
     ("two,", "like ''"), ("[", "like '['")],
)  # fmt: skip
def test_a_name_of_nothing_is_refused_beside_what_there_is(asked, near):
    with pytest.raises(UsageError, match="no layer that could be int8") as caught:
        left(asked)
    assert near in str(caught.value)
    assert "there is 't" in str(caught.value)


def test_a_network_without_convolutions_has_no_layer_to_name():
    with pytest.raises(UsageError, match="like 'two'; there is none"):
        left("two", block("y = Relu(x)"))


@pytest.fixture
def named(tmp_path):
    network = small(tmp_path)
    trials = Trials(
        measure(network.file, network.dataset()), network.judged, tmp_path / "int8.onnx"
    )
    asked = choose(read_model(network.file), "three")
    return trials, *settle(trials, lambda step: None, asked)


def test_only_what_is_asked_for_is_quantised_and_the_file_is_judged_so(named):
    trials, quantised, report = named
    assert report.passed
    assert quantised.names == ("three",)
    assert quantised.left == {"two": UNASKED}
    stored = read_model(trials.file).graph.initializers
    small_ones = {n for n, v in stored.items() if v.const_value.dtype == ir.DataType.INT8}
    assert "w3/int8" in small_ones
    assert "w2/int8" not in small_ones
    assert np.array_equal(stored["w2"].const_value.numpy(), weights()["w2"]), (
        "what is not asked for is as it was"
    )


def test_a_layer_that_is_quantised_and_should_not_be_is_found(named):
    trials, quantised, _ = named
    everything, _ = trials.of(Choice())
    assert everything.names == ("two", "three")
    report = judge(
        trials.measured.file,
        trials.file,
        trials.judged,
        ranges=everything.calibration["ranges"],
        choice=quantised.choice,
    )
    failed = {(check.name, check.reason) for check in report.layers if not check.passed}
    reads = {("two", "r"), ("two", "w2"), ("t", "r")}
    assert failed == {(n, f"reads {v}/dequantised, and should stay float32") for n, v in reads}

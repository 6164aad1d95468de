"""The judge: clean files pass, every planted fault fails, and the fault is named."""

import dataclasses
import json

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.errors import InputError
from simam_deploy.precision.int8 import judge
from simam_deploy.precision.int8.tensors import _held
from tests.precision.int8.networks import BLOCK, reason, replace, small, weight_of


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return small(tmp_path_factory.mktemp("small"))


def initializer(graph: ir.Model, name: str) -> ir.Value:
    return graph.graph.initializers[name]


def scaled(name: str, factor: float):
    def fault(graph):
        value = initializer(graph, name)
        replace(value, value.const_value.numpy() * np.float32(factor))

    return fault


def zeroed(layer: str):
    def fault(graph):
        value = weight_of(graph, layer)
        replace(value, np.zeros_like(value.const_value.numpy()))

    return fault


def swapped(layer: str, axis: int):
    def fault(graph):
        value = weight_of(graph, layer)
        replace(value, value.const_value.numpy().take([1, 0, 2, 3], axis))

    return fault


def zeroed_float(name: str):
    def fault(graph):
        value = initializer(graph, name)
        replace(value, np.zeros_like(value.const_value.numpy()))

    return fault


def node(graph: ir.Model, name: str) -> ir.Node:
    return next(n for n in graph.graph if n.name == name)


def pair_dropped(graph):
    """Layer three reads its input as it is."""
    node(graph, "three").replace_input_with(0, node(graph, "s/quantise").inputs[0])


def wrong_pair(graph):
    """Layer three's input goes through a pair with the range of another tensor."""
    for name in ("s/quantise", "s/dequantise"):
        node(graph, name).replace_input_with(1, initializer(graph, "r/scale"))


def one_scale_of_a_pair(graph):
    """What goes in by one scale comes out by another."""
    other = ir.val("other", const_value=ir.tensor(np.float32(0.1), name="other"))
    graph.graph.register_initializer(other)
    node(graph, "s/dequantise").replace_input_with(1, other)


def zero_point(graph):
    zero = ir.val("off", const_value=ir.tensor(np.int8(5), name="off"))
    graph.graph.register_initializer(zero)
    for name in ("s/quantise", "s/dequantise"):
        node(graph, name).replace_input_with(2, zero)


def relu_dropped(graph):
    """Nothing local is wrong with it."""
    relu = next(n for n in graph.graph if n.op_type == "Relu" and n.outputs[0].name == "u")
    relu.outputs[0].replace_all_uses_with(relu.inputs[0])


FAULTS = {
    "weights zeroed": (zeroed("two"), "w2 is off by 254"),
    "scale times 4": (scaled("s/scale", 4), "s is off by"),
    "scale over 4": (scaled("s/scale", 0.25), "s is off by"),
    "weights' scale times 4": (scaled("w3/scale", 4), "w3 is off by"),
    "pair dropped": (pair_dropped, "three: does not read s through a Q/DQ pair"),
    "scales of a pair differ": (one_scale_of_a_pair, "s: has scales"),
    "zero point": (zero_point, "s: has scales"),
    "output channels swapped": (swapped("two", 0), "w2 is off by"),
    "input channels swapped": (swapped("three", 1), "w3 is off by"),
    "bias zeroed": (zeroed_float("b"), "b: is missing or not what it was"),
    "float layer zeroed": (zeroed_float("w4"), "w4: is missing or not what it was"),
    "relu dropped": (relu_dropped, "output y of case 'int8, 8 samples' is off by"),
}


def test_a_clean_file_passes(network):
    verdict = network.verdict()
    assert verdict.passed, reason(verdict)
    assert (verdict.results[0].case, reason(verdict)) == ("int8, 8 samples", "")
    output = verdict.results[0]
    assert output.allowed / 2 / 2 < output.max_rel < 2 * output.allowed / 2
    assert {t.name for t in verdict.layers} == {"r", "s", "w2", "w3"}


@pytest.mark.parametrize("stated", [False, True], ids=["samples", "stated ranges"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails(fault, stated, network, tmp_path):
    plant, message = FAULTS[fault]
    ranges = network.quantised.calibration["ranges"] if stated else None
    verdict = network.verdict(network.faulty(plant, tmp_path), ranges=ranges)
    assert not verdict.passed
    assert message in reason(verdict)
    document = json.loads(json.dumps(verdict.details(), allow_nan=False))
    assert document["passed"] is False


def test_the_range_of_another_tensor(network, tmp_path):
    """2.4 times the right one: told from the stated ranges for certain."""
    ranges = network.quantised.calibration["ranges"]
    verdict = network.verdict(network.faulty(wrong_pair, tmp_path), ranges=ranges)
    assert "s is off by" in reason(verdict)


def test_a_bound_of_zero_lets_nothing_through(network):
    """The range is not what the scale was made of, and nothing at all is allowed."""
    ranges = {**network.quantised.calibration["ranges"], "s": 0.0}
    verdict = network.verdict(ranges=ranges)
    (wrong,) = [check for check in verdict.layers if not check.passed]
    assert wrong.name == "s"
    assert not verdict.passed


def test_what_is_zero_throughout_is_within_a_bound_of_zero():
    """Its best scale loses nothing, and neither does any other."""
    assert _held("s", 0.0, 0.0).passed
    assert not _held("s", 1e-12, 0.0).passed
    assert not _held("s", float("nan"), 0.0).passed
    assert not _held("s", 0.0, float("nan")).passed


def test_stated_ranges_serve_on_any_input(network):
    """Beyond their range all is clipped, in the candidate as in what is expected of it."""
    large = dataclasses.replace(network, others=100 * network.others)
    ranges = network.quantised.calibration["ranges"]
    stated = judge(network.file, network.int8, large.judged, ranges=ranges)
    assert stated.passed, reason(stated)
    assert stated.results[0].allowed / 2 > 0.1
    assert not judge(network.file, network.int8, large.judged).passed


def test_a_candidate_that_is_not_quantised(network):
    with pytest.raises(InputError, match="no Q/DQ pair"):
        network.verdict(network.file)


def test_a_candidate_of_another_network(network, tmp_path):
    other = small(tmp_path, w1=np.zeros((4, 4, 3, 3), np.float32))
    assert not network.verdict(other.int8).passed


def test_an_output_that_is_missing(network, tmp_path):
    def rename(graph):
        graph.graph.outputs[0].name = "z"

    verdict = network.verdict(network.faulty(rename, tmp_path))
    assert not verdict.passed
    assert "missing" in reason(verdict)
    assert verdict.details()["results"][0]["max_rel"] is None


def test_a_network_that_ignores_its_quantised_layers(tmp_path):
    """Their cost is below float32's own rounding, which then is the bound."""
    network = small(
        tmp_path, BLOCK.replace("t = Add(d, r)", "e = Mul(d, k) t = Add(e, r)"), k=np.float32(1e-9)
    )
    verdict = network.verdict()
    assert verdict.results[0].allowed == 2**-20
    assert verdict.passed, reason(verdict)


def test_the_files_are_left_alone(network):
    before = network.file.read_bytes(), network.int8.read_bytes()
    network.verdict()
    assert before == (network.file.read_bytes(), network.int8.read_bytes())

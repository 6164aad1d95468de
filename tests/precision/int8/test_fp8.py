"""FP8 E4M3 by the same code as int8: its numbers, its files, and the judge's faults."""

import dataclasses
import re

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from simam_deploy.errors import UsageError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.types import precision_of
from simam_deploy.precision.int8 import noise, quantise
from simam_deploy.precision.int8.formats import FP8, INT8
from simam_deploy.precision.int8.placement import Choice
from tests.precision.int8.networks import BLOCK, reason, replace, small, weight_of

TEXT = re.sub("18", "19", BLOCK)
EVERY = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float64)
NUMBERS = np.unique(EVERY[np.isfinite(EVERY)])
"""All that E4M3 has, by another library."""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return in_fp8(small(tmp_path_factory.mktemp("small"), TEXT))


def in_fp8(network, **choice):
    return dataclasses.replace(network, choice=Choice(numbers=FP8, **choice))


def nearest(values):
    return NUMBERS[np.abs(values[..., None] - NUMBERS).argmin(-1)]


def test_the_steps_are_the_distances_of_its_numbers():
    ends, distances = NUMBERS[NUMBERS >= 0], np.diff(NUMBERS[NUMBERS >= 0])
    middles = ends[:-1] + distances / 2
    assert np.array_equal(FP8.steps(middles), distances)
    assert np.array_equal(FP8.steps(ends[1:]), distances), "where two meet, the finer"
    assert ends[-1] == FP8.largest == 448


def test_what_is_stored_is_the_nearest_and_clipped():
    values = np.random.default_rng(0).standard_t(2, 4000) * 20
    assert np.abs(values).max() > 448
    stored = FP8.stored(values).astype(np.float64)
    assert np.array_equal(np.abs(stored - values), np.abs(nearest(values) - values))


def test_the_noise_rounds_to_the_same_numbers_by_other_arithmetic():
    values = np.random.default_rng(1).uniform(-1, 1, 4000) * 2.0 ** np.arange(4000).__mod__(18)
    values = np.clip(values / 600, -448, 448)
    assert np.array_equal(noise._on_grid(values, "fp8"), nearest(values))


def test_the_nodes_of_the_noise_do_so_too(network):
    """On each side of every number and of the middle between two, in float32, in ONNX Runtime."""
    middles = (NUMBERS[1:] + NUMBERS[:-1]) / 2
    values = np.concatenate([NUMBERS, middles * (1 + 2.0**-18), middles * (1 - 2.0**-18)])
    values = values.astype(np.float32)
    graph = ir.from_proto(
        onnx.parser.parse_model(
            f"""<ir_version: 8, opset_import: ["" : 19]>
            g (float[{len(values)}] x) => (float[{len(values)}] y) {{ y = Identity(x) }}"""
        )
    )
    (identity,) = graph.graph
    rounded = noise._put_behind(graph.graph, graph.graph.inputs[0], 448.0, 448.0, "fp8")
    identity.replace_input_with(0, rounded)
    session = ort.InferenceSession(ir.to_proto(graph).SerializeToString())
    assert np.array_equal(session.run(None, {"x": values})[0], nearest(values))


def test_the_file_is_valid_and_stores_eight_bits(network):
    onnx.checker.check_model(onnx.load(network.int8), full_check=True)
    graph = read_model(network.int8)
    assert precision_of(graph) == "fp8"
    stored = graph.graph.initializers
    assert {n for n, v in stored.items() if v.const_value.size > 4 and v.dtype == FP8.dtype} == {
        "w2/fp8",
        "w3/fp8",
    }
    scale = stored["r/scale"].const_value.numpy()
    assert scale == pytest.approx(network.quantised.calibration["ranges"]["r"] / 448)


@pytest.mark.parametrize("activation", ["Relu(c)", "Clip(c, least, most)"])
def test_onnx_runtime_computes_what_is_written_at_any_level(activation, tmp_path):
    """It leaves a Relu out in front of an FP8 QuantizeLinear, and fails at a Clip."""
    text = TEXT.replace("s = Relu(c)", f"s = {activation}")
    bounds = {"least": np.float32(0), "most": np.float32(2)} if "Clip" in activation else {}
    network = in_fp8(small(tmp_path, text, **bounds))
    results = []
    for level in (
        ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
        ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    ):
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        session = ort.InferenceSession(network.int8, options, providers=["CPUExecutionProvider"])
        results.append(session.run(None, network.feeds)[0])
    off = np.linalg.norm(results[0] - results[1]) / np.linalg.norm(results[0])
    assert off < 5e-3  # a value here and there falls to the next of its numbers
    assert network.verdict().passed, reason(network.verdict())


@pytest.mark.parametrize("alone", [frozenset(), frozenset({"two", "three"})])
def test_a_clean_file_passes_and_the_noise_foretells_its_cost(alone, tmp_path):
    chosen = in_fp8(small(tmp_path, TEXT), by_tensor=alone)
    verdict = chosen.verdict(ranges=chosen.quantised.calibration["ranges"])
    assert verdict.passed, reason(verdict)
    assert (verdict.precision, verdict.results[0].case) == ("fp8", "fp8, 8 samples")
    assert 0.7 < 2 * verdict.results[0].max_rel / verdict.results[0].allowed < 1.3
    assert {t.name for t in verdict.layers} == {"r", "s", "w2", "w3"}


def test_it_costs_more_than_int8_and_less_than_a_tenth(network):
    even = dataclasses.replace(network, choice=Choice(numbers=INT8))
    costs = [each.verdict().results[0].max_rel for each in (even, network)]
    assert costs[0] < costs[1] < 0.1


def value(graph, name):
    return graph.graph.initializers[name]


def zeroed(graph):
    weight = weight_of(graph, "two")
    replace(weight, np.zeros_like(weight.const_value.numpy()))


def two_bits(graph):
    """Weights with two bits of mantissa."""
    weight = weight_of(graph, "two")
    exact = weight.const_value.numpy().astype(np.float32)
    coarse = exact.astype(ml_dtypes.float8_e5m2).astype(ml_dtypes.float8_e4m3fn)
    replace(weight, coarse)


def scaled(factor):
    def fault(graph):
        scale = value(graph, "s/scale")
        replace(scale, scale.const_value.numpy() * np.float32(factor))

    return fault


def weights_scaled(graph):
    scale = value(graph, "w3/scale")
    replace(scale, scale.const_value.numpy() * np.float32(1.1))


def relu_dropped(graph):
    node = next(n for n in graph.graph if n.op_type == "Max" and n.outputs[0].name == "s")
    node.outputs[0].replace_all_uses_with(node.inputs[0])


def swapped(graph):
    weight = weight_of(graph, "two")
    replace(weight, weight.const_value.numpy().take([1, 0, 2, 3], 0))


FAULTS = {
    "weights zeroed": (zeroed, "w2 is off by"),
    "two bits of mantissa": (two_bits, "w2 is off by"),
    "scale times 4": (scaled(4), "s is off by"),
    "scale over 4": (scaled(0.25), "s is off by"),
    "scale times 1.01": (scaled(1.01), "s is off by"),
    "weights' scale times 1.1": (weights_scaled, "w3 is off by"),
    "channels swapped": (swapped, "w2 is off by"),
    "relu dropped": (relu_dropped, "does not read s"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails(fault, network, tmp_path):
    plant, says = FAULTS[fault]
    ranges = network.quantised.calibration["ranges"]
    verdict = network.verdict(network.faulty(plant, tmp_path), ranges=ranges)
    assert not verdict.passed
    assert says in reason(verdict)


def test_int8_in_the_place_of_fp8_is_a_fault(network, tmp_path):
    even = dataclasses.replace(network, choice=Choice(numbers=INT8))
    verdict = network.verdict(even.int8)
    assert not verdict.passed
    assert any("wanted FLOAT8E4M3FN" in check.reason for check in verdict.layers)


def test_an_old_opset_is_refused(tmp_path):
    network = small(tmp_path)
    with pytest.raises(UsageError, match="opset 18: fp8 wants 19"):
        quantise(network.file, network.dataset(), choice=Choice(numbers=FP8))

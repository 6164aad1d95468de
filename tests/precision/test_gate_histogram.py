"""Histograms of gates: what a graph computes, not what it should."""

import math

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.graph.prepare import plain
from simam_deploy.op import contract
from simam_deploy.precision.gate_histogram import BINS, HIGH, LOW, gate_histograms
from tests.graph.onnx_text import model, simam_model


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype(np.float32)


def test_it_counts_the_gates_of_the_formula(x):
    (seen,) = gate_histograms(plain(simam_model("2,3,16,16")), {"x": x})
    gates = contract.simam_gate(x, 0.1)
    assert (seen.low, seen.high) == pytest.approx((gates.min(), gates.max()), abs=1e-5)
    assert seen.mean == pytest.approx(gates.mean(), abs=1e-5)
    counts, _ = np.histogram(gates, BINS, (LOW, HIGH))
    assert np.abs(np.array(seen.shares) - counts / gates.size).max() < 2e-3  # at a bin's edge
    assert math.isclose(sum(seen.shares), 1)
    assert seen.shape == x.shape
    assert seen.broken == 0


def test_a_site_that_overflows_in_half_shows_what_it_makes(x):
    """Summed in float16, d^2 exceeds 65504: v is infinite, and every gate falls to the floor."""
    graph = plain(simam_model("2,3,16,16", dtype="float16"))
    for node in graph.graph:  # take the island off, as a naive conversion leaves it
        if node.op_type == "Cast" and node.attributes["to"].as_int() == ir.DataType.FLOAT:
            node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT16)
    large = {"x": 100 * x}
    (right,) = gate_histograms(plain(simam_model("2,3,16,16")), large)
    (seen,) = gate_histograms(_typed_anew(graph), large)
    assert right.high > 0.95
    assert seen.high < 0.63 or seen.broken > 0


def _typed_anew(graph):
    for node in graph.graph:
        for value in node.outputs:
            value.type = None
    return graph


def test_a_map_of_zeros_shows_no_gate(x):
    (seen,) = gate_histograms(plain(simam_model("2,3,16,16")), {"x": 0 * x})
    assert math.isnan(seen.low)
    assert set(seen.shares) == {0.0}


def test_a_graph_without_simam_has_none(x):
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,3,16,16] x) => (float[n,3,16,16] y) { y = Relu(x) }"""
    assert gate_histograms(plain(model(text)), {"x": x}) == ()

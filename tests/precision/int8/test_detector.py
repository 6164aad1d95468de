"""A trained detector: one output of boxes and scores, and faults that hide in it."""

import functools
import warnings

import numpy as np
import onnx_ir as ir
import pytest
import torch

from simam_deploy.graph.file.read import read_model
from simam_deploy.precision.int8.calibrate import calibrate
from simam_deploy.precision.int8.outputs import Expected
from simam_deploy.precision.int8.placement import place
from tests.precision.int8 import detector
from tests.precision.int8.networks import Network, reason

SIDE, SAMPLES = 64, 64


def exported(folder, batch="n", side=SIDE, samples=SAMPLES):
    """Write the detector by torch's own exporter, a fifth of the time of ours, and pictures."""
    free = {"input": {0: "n"}, "output": {0: "n"}} if batch == "n" else None
    shape = (1 if batch == "n" else batch, 3, side, side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is said to be old
        torch.onnx.export(
            detector.make(),
            (torch.zeros(shape),),
            folder / "d.onnx",
            dynamo=False,
            opset_version=18,
            input_names=["input"],
            output_names=["output"],
            dynamic_axes=free,
        )
    pictures, _ = detector.pictures(11, samples, side)
    np.save(folder / "x.npy", pictures)
    return Network(folder / "d.onnx", folder / "x.npy", pictures)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("free"))


@pytest.fixture(scope="module")
def expected(network):
    quantised = network.quantised
    names = tuple(quantised.calibration["ranges"])
    spreads, runs = calibrate(network.file, names, network.judged)
    ranges = {name: spread.best_range() for name, spread in spreads.items()}
    chosen = functools.partial(place, choice=quantised.choice)
    with Expected(functools.partial(read_model, network.file), chosen, ranges, runs) as found:
        yield found


def behind(network, op_type, *arrays):
    """The int8 graph with an op behind its output: the output first, or last for a Gather."""
    model = read_model(network.int8)
    graph = model.graph
    (y,) = graph.outputs
    constants = []
    for i, array in enumerate(arrays):
        value = ir.val(f"fault{i}", const_value=ir.tensor(array, name=f"fault{i}"))
        graph.register_initializer(value)
        constants.append(value)
    node = ir.node(op_type, [y, *constants], attributes={"axis": 1} if op_type == "Gather" else {})
    graph.append(node)
    out = node.outputs[0]
    out.type, out.shape, out.name, y.name = y.type, y.shape, y.name, "right"
    graph.outputs[0] = out
    return model


def rows(usual, **changed):
    """A number a channel."""
    values = np.full((1, 6, 1), usual, np.float32)
    for row, value in changed.items():
        values[0, int(row[1:])] = value
    return values


def cell(times):
    values = np.ones((1, 1, 84), np.float32)
    values[..., 40] = times
    return values


FAULTS = {
    "scores x 0.95": ("Mul", rows(1, r4=0.95, r5=0.95)),
    "one score x 0.95": ("Mul", rows(1, r5=0.95)),
    "scores zeroed": ("Mul", rows(1, r4=0, r5=0)),
    "scores + 0.05": ("Add", rows(0, r4=0.05, r5=0.05)),
    "classes swapped": ("Gather", np.array([0, 1, 2, 3, 5, 4])),
    "boxes + 8 px": ("Add", rows(0, r0=8, r1=8, r2=8, r3=8)),
    "x + 8 px": ("Add", rows(0, r0=8)),
    "boxes x 1.01": ("Mul", rows(1.0, r0=1.01, r1=1.01, r2=1.01, r3=1.01)),
    "a channel zeroed": ("Mul", rows(1, r3=0)),
    "a cell zeroed": ("Mul", cell(0)),
}


def test_a_correct_conversion_passes(network, expected):
    results = expected.judge(read_model(network.int8))
    assert [r.output for r in results if not r.passed] == []
    assert {r.output.partition("[")[0].removesuffix(" scaled") for r in results} == {"output"}
    assert results[0].case == f"int8, {SAMPLES} samples"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_behind_the_network_is_seen(fault, network, expected):
    results = expected.judge(behind(network, *FAULTS[fault]))
    assert any(not result.passed for result in results)


def test_over_the_whole_output_scores_cannot_be_seen(network, expected):
    """Why slices are judged: boxes are pixels."""
    (whole, *rest) = expected.judge(behind(network, *FAULTS["scores zeroed"]))
    assert whole.passed
    assert {r.output for r in rest if not r.passed} >= {"output[:, 4]"} or {"output[:, 5]"} <= {
        r.output for r in rest if not r.passed
    }


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("fixed"), batch=1)


def test_a_fixed_batch_of_one_is_calibrated_and_judged_like_a_free_one(network, one_by_one):
    """As many samples, dealt alike: the same ranges, and the same layers left in float32."""
    free, fixed = network.quantised, one_by_one.quantised
    assert fixed.calibration["samples"] == free.calibration["samples"] == SAMPLES
    assert fixed.left.keys() == free.left.keys()
    assert fixed.calibration["ranges"] == pytest.approx(free.calibration["ranges"], rel=2e-3)
    verdict = one_by_one.verdict()
    assert verdict.passed, reason(verdict)
    assert verdict.results[0].case == f"int8, {SAMPLES} samples"


def test_what_is_left_is_little_and_has_its_reason(network):
    quantised = network.quantised
    layers = quantised.layers + len(quantised.left)
    assert layers == 56
    assert 0 < len(quantised.left) <= 5
    assert all("on half of the samples loses" in reason for reason in quantised.left.values())


@pytest.mark.parametrize("which", range(0, 48, 7))
@pytest.mark.parametrize("factor", [4, 0.5])
def test_a_scale_that_is_off(which, factor, network):
    """By the bound of its own tensor."""
    spread = spreads_of(network)[which]
    limit = spread.best_range()
    assert spread.loss(limit) <= spread.allowed
    assert spread.loss(factor * limit) > spread.allowed


def test_twice_the_scale_shows_in_most_tensors(network):
    seen = [s.loss(2 * s.best_range()) > s.allowed for s in spreads_of(network)]
    assert sum(seen) >= 0.6 * len(seen)


@functools.cache
def spreads_of(network):
    names = tuple(network.quantised.calibration["ranges"])
    return list(calibrate(network.file, names, network.judged)[0].values())

"""The trained digits network in int8: accuracy, time, and what the judge and the gates say."""

import time

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy import OnnxOptions, export_onnx
from simam_deploy.core.conversion import CALIBRATION_SAMPLES
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.recognise import recognise
from simam_deploy.precision.int8 import quantise
from simam_deploy.precision.taps import record_sites
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.verify.gates import check_gates
from tests.precision.int8.networks import Network, reason, replace
from train_digits import split

GATE_UNIT = ir.DataType.FLOAT16
"""A float32 island is far within it; float32's own unit wants a bound of its own."""


@pytest.fixture(scope="module")
def network(digits, tmp_path_factory):
    return exported(digits, tmp_path_factory.mktemp("digits"), "portable")


def exported(digits, folder, lowering):
    file = export_onnx(digits, folder / "digits.onnx", onnx=OnnxOptions(lowering=lowering)).path
    train, test, *_ = (part.numpy() for part in split())
    np.save(folder / "train.npy", train)
    return Network(file, folder / "train.npy", test[::23])


def test_accuracy_and_calibration_time(network):
    started = time.process_time()
    quantised = quantise(network.file, network.dataset(CALIBRATION_SAMPLES))
    assert time.process_time() - started < 60
    assert quantised.layers == 20
    _, images, _, labels = (part.numpy() for part in split())
    right = []
    for file in (network.file, network.int8):
        with OnnxRunner(file, as_written=True) as runner:
            logits = runner.run({network.spec.name: images})["logits"]
        right.append(int((logits.argmax(1) == labels).sum()))
    assert len(images) == 360
    assert right[0] >= 350
    assert right[1] >= right[0] - 1  # half a point is 1.8 of 360


def test_the_noise_predicts_the_cost(network):
    verdict = network.verdict()
    assert verdict.passed, reason(verdict)
    output = verdict.results[0]
    assert output.max_rel == pytest.approx(output.allowed / 2, rel=0.15)
    assert 3e-3 < output.max_rel < 2e-2


@pytest.mark.slow
@pytest.mark.parametrize("lowering", ["flat", "function"])
def test_it_does_not_matter_how_simam_is_written(lowering, digits, network, tmp_path):
    other = exported(digits, tmp_path, lowering)
    assert other.quantised.layers == network.quantised.layers
    assert (
        other.quantised.calibration["ranges"].keys()
        == network.quantised.calibration["ranges"].keys()
    )
    verdict = other.verdict()
    assert verdict.passed, reason(verdict)
    np.testing.assert_allclose(
        verdict.results[0].max_rel, network.verdict().results[0].max_rel, rtol=0.1
    )


def test_no_pair_lies_inside_a_site_or_before_it(network):
    sites = recognise(read_model(network.int8)).sites
    assert len(sites) == len(recognise(read_model(network.file)).sites) == 9
    for site in sites:
        makers = [node.op_type for node in site.nodes] + [site.x.producer().op_type]
        assert not any("Quantize" in maker or "Dequantize" in maker for maker in makers)


def test_every_gate_is_right(network):
    samples = record_sites(read_model(network.file), network.feeds)
    checks = check_gates(samples, read_model(network.int8), GATE_UNIT, network.feeds)
    assert len(checks) == 9
    # 3 units of float32 are 4e-4 units of float16.
    assert all(check.passed and check.error_ulps < 1e-3 for check in checks)


def test_a_lambda_ten_times_off_is_seen_by_its_gate(network, tmp_path):
    """It is too small a change for the outputs, which int8 disturbs by more."""

    def fault(graph):
        plus = next(n for n in recognise(graph).sites[4].nodes if n.name.endswith("/Add"))
        ((index, value),) = ((i, v) for i, v in enumerate(plus.inputs) if v.is_initializer())
        ten = ir.val("ten", const_value=ir.tensor(value.const_value.numpy() * 10, name="ten"))
        graph.graph.register_initializer(ten)
        plus.replace_input_with(index, ten)

    faulty = network.faulty(fault, tmp_path)
    samples = record_sites(read_model(network.file), network.feeds)
    checks = check_gates(samples, read_model(faulty), GATE_UNIT, network.feeds)
    assert [check.passed for check in checks] == [i != 4 for i in range(9)]


def _weights(graph: ir.Model) -> list[ir.Value]:
    return [v for n, v in graph.graph.initializers.items() if n.endswith("/int8")]


@pytest.mark.parametrize("which", range(0, 20, 3))
def test_any_weights_zeroed_show_in_the_outputs_alone(which, network, tmp_path):
    def fault(graph):
        value = _weights(graph)[which]
        replace(value, np.zeros_like(value.const_value.numpy()))

    verdict = network.verdict(network.faulty(fault, tmp_path))
    assert not verdict.results[0].passed
    assert verdict.results[0].max_rel > 2 * verdict.results[0].allowed


@pytest.mark.parametrize("factor", [4, 0.25])
@pytest.mark.parametrize("which", range(0, 20, 3))
def test_any_scale_off_by_four_shows(which, factor, network, tmp_path):
    def fault(graph):
        scales = [
            v
            for n, v in graph.graph.initializers.items()
            if n.endswith("/scale") and v.const_value.size == 1
        ]
        replace(scales[which], scales[which].const_value.numpy() * np.float32(factor))

    verdict = network.verdict(network.faulty(fault, tmp_path))
    assert not verdict.passed
    assert sum(not t.passed for t in verdict.layers) == 1

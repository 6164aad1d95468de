"""Published networks of the golden weights in int8: layers, cost, gates."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy import NetworkOptions, export_onnx
from simam_deploy.graph.file.read import read_model
from simam_deploy.precision.taps import record_sites
from simam_deploy.verify.gates import check_gates
from tests.golden import golden
from tests.marks import slow_but
from tests.pipeline.test_golden_export import official_file
from tests.precision.int8.networks import Network, reason

LAYERS = {
    "cifar_resnet20": 20,
    "cifar_preresnet56": 56,
    "cifar_mobilenetv2": 56,
    "resnet18": 19,
    "mobilenet_v2": 51,
    "wespeaker_simam_resnet34_asp": 35,
}
QUICK = "cifar_resnet20"
NAMES = slow_but([QUICK], LAYERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_published_network(name, tmp_path):
    case = golden(name)
    size = case.runs[0].input.shape[1:]
    file = export_onnx(
        official_file(case, tmp_path), tmp_path / "m.onnx", network=NetworkOptions(input_shape=size)
    ).path
    samples = np.random.default_rng(0).standard_normal((32, *size)).astype(np.float32)
    np.save(tmp_path / "x.npy", samples[:16])
    network = Network(file, tmp_path / "x.npy", samples[16:])
    assert network.quantised.layers == LAYERS[name]
    assert network.int8.stat().st_size < 0.6 * file.stat().st_size
    verdict = network.verdict()
    assert verdict.passed, reason(verdict)
    whole = [result for result in verdict.results if "[" not in result.output]
    assert whole
    for output in whole:
        assert 0.8 < 2 * output.max_rel / output.allowed < 1.25
    checks = check_gates(
        record_sites(read_model(file), network.feeds),
        read_model(network.int8),
        ir.DataType.FLOAT16,
        network.feeds,
    )
    assert checks
    assert all(check.passed and check.error_ulps < 1e-3 for check in checks)

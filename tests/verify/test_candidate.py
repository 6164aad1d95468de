"""Opening what is held against a reference."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy import InputError, ValidationError, export_onnx
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.verify.candidate import open_candidate
from tests.precision.half.graphs import naive, planes

quantisation = pytest.importorskip("onnxruntime.quantization")


def test_half_is_run_with_its_rounding(tmp_path):
    """ONNX Runtime's CPU provider would show no collapse."""
    write_model(naive(56, 56), tmp_path / "naive.onnx")
    candidate = open_candidate(tmp_path / "naive.onnx")
    x = planes("std 5", 56, 56)
    with candidate.runner() as runner:
        gate = runner.run({"x": x})["y"] / x
    np.testing.assert_allclose(gate[np.abs(x) > 5], 0.6225, atol=1e-3)
    assert candidate.inputs[0].dtype == "float16"


def test_a_graph_of_ill_fitting_types_is_a_finding(tmp_path):
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float16[4] x, float[4] k) => (float[4] y) { [odd] y = Add(x, k) }"""
    )
    (tmp_path / "odd.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValidationError, match="no valid graph.*odd"):
        open_candidate(tmp_path / "odd.onnx")


def test_a_folder_is_no_candidate(tmp_path):
    with pytest.raises(InputError, match="is a directory"):
        open_candidate(tmp_path)


class Digits(quantisation.CalibrationDataReader):
    def __init__(self, images):
        self.batches = iter([{"input": images[i : i + 16]} for i in range(0, 64, 16)])

    def get_next(self):
        return next(self.batches, None)


@pytest.mark.filterwarnings("ignore")
def test_int8_has_float32_islands_and_is_judged_by_them(digits, tmp_path):
    from train_digits import split

    float32 = export_onnx(digits, tmp_path / "digits.onnx").path
    quantisation.quantize_static(
        float32, tmp_path / "int8.onnx", Digits(split()[0].numpy()),
        op_types_to_quantize=["Conv"], per_channel=True,
    )  # fmt: skip
    report = validate_models(float32, tmp_path / "int8.onnx")
    assert report.candidate.precision == "int8"
    assert all(check.passed for check in report.gates), report.failures
    assert len(report.gates) == 9
    assert max(check.error_ulps for check in report.gates) < 40

    graph = read_model(tmp_path / "int8.onnx")
    lam = next(v for n in graph.graph if n.op_type == "Add" for v in n.inputs if v.const_value)
    lam.const_value = ir.tensor(10 * lam.const_value.numpy(), name=lam.name)
    write_model(graph, tmp_path / "wrong.onnx")
    wrong = validate_models(float32, tmp_path / "wrong.onnx")
    assert not all(check.passed for check in wrong.gates)

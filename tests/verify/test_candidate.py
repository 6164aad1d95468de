"""Opening what is held against a reference."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy import InputError, ValidationError, export_onnx
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.verify.bisect import convert
from simam_deploy.verify.candidate import open_candidate, precision_of
from tests.graph.onnx_text import model, simam_model
from tests.precision.half.graphs import BF16, FP16, block, naive, planes

quantisation = pytest.importorskip("onnxruntime.quantization")


def plain(dtype: ir.DataType | None = None) -> ir.Model:
    graph = block()
    lower_portable(graph)
    return graph if dtype is None else convert(graph, dtype, ())


QUANTISED = """<ir_version: 8, opset_import: ["" : 18]>
    g (float[4] x) => (float[4] y) <float s = {0.5}, int8 z = {0}, int8[4] a>
    { a = QuantizeLinear(x, s, z) y = DequantizeLinear(a, s, z) }"""


@pytest.mark.parametrize(
    ("graph", "precision"),
    [
        (plain, "fp32"),
        (lambda: plain(FP16), "fp16"),
        (lambda: plain(BF16), "bf16"),
        (lambda: naive(9, 9, BF16), "bf16"),
        (lambda: simam_model("1,4,9,9", dtype="float16"), "fp16"),
        (lambda: model(QUANTISED), "int8"),
    ],
)
def test_precision_is_read_from_the_graph(graph, precision):
    assert precision_of(graph()) == precision


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

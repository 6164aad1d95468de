"""A file that the operators here compute otherwise is proved all the same, and somebody is told."""

import pytest

from simam_deploy import export_onnx
from simam_deploy.op.find import OPERATORS_VARIABLE, find_operators
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.verify import operators
from simam_deploy.verify.operators import AGREE


@pytest.fixture(autouse=True)
def library():
    if find_operators() is None:
        pytest.skip("no operators: scripts/build_plugin --onnxruntime-include DIR makes them")


def exported(digits, folder, lowering="function"):
    return export_onnx(digits, folder / "m.onnx", onnx=OnnxOptions(lowering=lowering))


def told(report):
    return [note for note in report.notes if note.startswith("SimAM's operators")]


def test_an_export_and_a_validation_say_that_they_agree(digits, tmp_path):
    made = exported(digits, tmp_path)
    assert told(made.validation) == [AGREE]
    assert told(validate_models(made.path, made.path)) == [AGREE]


@pytest.mark.slow
@pytest.mark.parametrize(("lowering", "how"), [("portable", ""), ("function", "off")])
def test_nothing_is_said_where_they_have_no_part(lowering, how, digits, tmp_path, monkeypatch):
    monkeypatch.setenv(OPERATORS_VARIABLE, how)
    assert told(exported(digits, tmp_path, lowering).validation) == []


def test_the_proof_does_not_depend_on_them(digits, tmp_path, monkeypatch):
    real = operators.run_cases

    def wrong(runner, cases):
        return {
            case: {name: array * 1.001 for name, array in outputs.items()}
            for case, outputs in real(runner, cases).items()
        }

    monkeypatch.setattr(operators, "run_cases", wrong)
    made = exported(digits, tmp_path).validation
    assert made.passed
    (note,) = told(made)
    assert "do NOT compute it (logits of " in note
    assert "SIMAM_ONNXRUNTIME=off" in note


@pytest.mark.slow
def test_a_library_that_does_not_open_is_told_too(digits, tmp_path, monkeypatch):
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    monkeypatch.setenv(OPERATORS_VARIABLE, str(broken))
    made = exported(digits, tmp_path).validation
    assert made.passed
    (note,) = told(made)
    assert "do NOT compute it (ONNX Runtime does not take" in note

"""After a refusal: whose error it is, a bound of one's own, a file that is kept; who repeats it."""

import json

import numpy as np
import pytest

from simam_deploy import OnnxOptions, ValidationError, export_onnx, validate_models
from simam_deploy.cli.build import main as build
from simam_deploy.cli.export import main as export
from simam_deploy.cli.validate import main as validate
from simam_deploy.core.caveats import caveats
from simam_deploy.core.manifest import read_facts
from simam_deploy.graph.lower import portable
from simam_deploy.pipeline.options import ComparisonOptions
from tests.engine.conftest import cache
from tests.pipeline.test_outputs import small
from tests.serve.running import serving, until

__all__ = ["cache"]


@pytest.fixture
def source(tmp_path):
    return small(tmp_path / "in", 0.1)


@pytest.fixture
def shifted(source, monkeypatch):
    """A lowering that gives a thousandth more than it should."""
    right = portable.on_planes

    def emit(tape, x, square, e_lambda, ratio):
        return tape.op("Mul", right(tape, x, square, e_lambda, ratio), 1.001)

    monkeypatch.setattr(portable, "on_planes", emit)


@pytest.mark.usefixtures("shifted")
def test_a_refusal_says_which_case_whose_error_and_what_can_be_done(source, tmp_path, capsys):
    assert export([str(source), "-o", str(tmp_path / "m.onnx")]) == 3
    said = capsys.readouterr().err
    assert "--tolerance" in said
    assert "--keep-failed" in said
    report = json.loads((tmp_path / "m.failed.json").read_text())
    assert report["whose"]
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.usefixtures("shifted")
def test_a_failed_file_is_kept_on_request_and_says_so(source, tmp_path, capsys):
    file = tmp_path / "m.onnx"
    assert export([str(source), "-o", str(file), "--keep-failed"]) == 3
    out = capsys.readouterr()
    assert "FAILED, kept" in out.out
    assert "--keep-failed" in out.err
    assert read_facts(file)["validation"]["passed"] is False
    assert not (tmp_path / "m.failed.json").exists()


@pytest.mark.usefixtures("shifted")
def test_int8_of_a_wrong_float32_graph_is_not_made_and_not_kept(source, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((8, 3, 8, 8), "f4"))
    asked = OnnxOptions(precision="int8", calibration_data=tmp_path / "x.npy", keep_failed=True)
    with pytest.raises(ValidationError, match="was not written"):
        export_onnx(source, tmp_path / "m.onnx", asked)
    assert not (tmp_path / "m.onnx").exists()


def test_a_bound_of_ones_own_is_held_to_and_repeated(source, tmp_path, monkeypatch):
    right = portable.on_planes
    monkeypatch.setattr(
        portable,
        "on_planes",
        lambda tape, x, *rest: tape.op("Add", right(tape, x, *rest), 1e-4),
    )
    with pytest.raises(ValidationError):
        export_onnx(source, tmp_path / "strict.onnx")
    kept = export_onnx(source, tmp_path / "m.onnx", OnnxOptions(keep_failed=True, tolerance=0.5))
    outputs = kept.validation
    assert outputs.outputs_passed
    assert "AS GIVEN" in outputs.rule
    facts = read_facts(kept.path)
    assert facts["validation"]["given"] is True
    assert any("a bound that a user gave" in line for line in caveats(facts))


@pytest.mark.parametrize("tolerance", ["0", "1", "-1", "nan", "much"])
def test_a_bound_is_between_0_and_1(tolerance, source, capsys):
    with pytest.raises(SystemExit, match="2"):
        export([str(source), "--tolerance", tolerance])
    assert "--tolerance: not a number" in capsys.readouterr().err


def test_validate_takes_a_bound_too(source):
    report = validate_models(source, source, options=ComparisonOptions(tolerance=1e-3))
    assert report.passed
    assert "0.001 of a slice's largest value, AS GIVEN" in report.validation.rule


@pytest.fixture
def kept(source, tmp_path, shifted):
    """A wrong file that was kept."""
    return export_onnx(source, tmp_path / "m.onnx", OnnxOptions(keep_failed=True)).path


def test_validate_repeats_what_a_file_says_of_itself(kept, source, capsys):
    assert validate([str(source), str(kept)]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "it FAILED its validation and was kept all the same" in said


def test_build_repeats_it(kept, tmp_path, capsys):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is missing")
    assert build([str(kept), "-o", str(tmp_path / "m.engine"), "--target", "sm80"]) == 0
    assert "the .onnx it was built from FAILED its validation" in capsys.readouterr().out


def test_serve_repeats_it(kept):
    with serving({"m": kept}) as running:
        until(lambda: any(line.startswith("ready") for line in running.said))
        assert "m: it FAILED its validation and was kept all the same" in running.said

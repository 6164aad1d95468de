"""A network in which no SimAM is found: refused, or taken as it is where that is allowed."""

from __future__ import annotations

import json

import onnx
import onnx_ir as ir
import pytest

from simam_deploy.cli.export import main
from simam_deploy.cli.validate import main as validate
from simam_deploy.errors import InputError
from simam_deploy.pipeline.export import export_onnx
from simam_deploy.pipeline.inspect import inspect_onnx
from simam_deploy.source.options import NetworkOptions
from tests.graph.recognise.formula import BASE, formula

SHAPE = "float[n, 4, 16, 16]"
BIASED = "biased variance (n = H*W, not H*W - 1)"
ATTENTION = f"""<ir_version: 8, opset_import: ["" : 13, "own" : 1]>
    g ({SHAPE} x) => ({SHAPE} y) {{ a = own.Attention (x) y = own.Attention (a) }}
    <domain: "own", opset_import: ["" : 13]>
    Attention (x) => (y) {{
        axes = Constant <value = int64[2] {{2, 3}}> ()
        n = Constant <value = float {{255}}> ()
        lam = Constant <value = float {{0.1}}> ()
        four = Constant <value = float {{4}}> ()
        half = Constant <value = float {{0.5}}> ()
        {" ".join(BASE.values())}
    }}"""


@pytest.fixture
def biased(tmp_path):
    model = formula(source=f"{SHAPE} x", results=f"{SHAPE} y", constants={"n": "float n = {256}"})
    onnx.save(ir.to_proto(model), tmp_path / "biased.onnx")
    return tmp_path / "biased.onnx"


def test_it_is_refused_with_what_came_near_and_the_way_on(biased, tmp_path, capsys):
    assert main([str(biased), "-o", str(tmp_path / "out.onnx"), "-q"]) == 1
    line = capsys.readouterr().err
    assert BIASED in line
    assert "--allow-none" in line
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_allowed_it_is_exported_as_it_is_and_proved(precision, biased, tmp_path, capsys):
    out = tmp_path / "out.onnx"
    assert main([str(biased), "-o", str(out), "-q", "--allow-none", "--precision", precision]) == 0
    table = capsys.readouterr().out
    assert "0: no gate was judged" in table
    assert BIASED in table
    manifest = json.loads((tmp_path / "out.json").read_text())
    assert manifest["simam_sites"] == []
    assert manifest["e_lambda_source"] == "there is no SimAM"
    assert "no SimAM was found" in manifest["notes"][0]
    assert BIASED in manifest["notes"][1]
    said = manifest["validation"]
    assert said["passed"] and said["proved"]
    assert "gates" not in said
    assert said["power"]["dropped"] is None
    assert validate([str(biased), str(out), "-q", "--allow-none"]) == 0
    report = capsys.readouterr().out
    assert BIASED in report
    assert "SimAM gates" not in report


def test_a_wrong_file_is_refused_all_the_same(biased, tmp_path, capsys):
    wrong = onnx.load(biased)
    (lam,) = (i for i in wrong.graph.initializer if i.name == "lam")
    lam.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(lam) * 2, "lam"))
    onnx.save(wrong, tmp_path / "wrong.onnx")
    assert validate([str(biased), str(tmp_path / "wrong.onnx"), "-q", "--allow-none"]) == 3
    assert "allowed" in capsys.readouterr().out


def test_nothing_near_is_said_too(tmp_path):
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g ({SHAPE} x) => ({SHAPE} y) {{ y = Sigmoid (x) }}"""
    )
    onnx.save(proto, tmp_path / "plain.onnx")
    allowed = NetworkOptions(allow_none=True)
    artifact = export_onnx(tmp_path / "plain.onnx", tmp_path / "out.onnx", network=allowed)
    assert artifact.notes[1] == "nothing comes near SimAM"
    assert artifact.sites == ()


def test_simam_in_a_function_is_found(tmp_path):
    onnx.save(onnx.parser.parse_model(ATTENTION), tmp_path / "function.onnx")
    artifact = export_onnx(tmp_path / "function.onnx", tmp_path / "out.onnx")
    assert [site.e_lambda for site in artifact.sites] == [0.1, 0.1]
    assert artifact.validation.proved
    seen = inspect_onnx(tmp_path / "function.onnx")
    assert len(seen.sites) == 2
    assert seen.functions == ("own::Attention",)


def test_a_function_of_another_opset_is_named(tmp_path):
    proto = onnx.parser.parse_model(ATTENTION)
    proto.functions[0].opset_import[0].version = 12
    onnx.save(proto, tmp_path / "function.onnx")
    with pytest.raises(InputError, match="function own::Attention is of opset 12, its graph of 13"):
        export_onnx(tmp_path / "function.onnx", tmp_path / "out.onnx")

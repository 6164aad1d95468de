"""Checkpoints of networks without SimAM: exported for what they are, and proved as any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from simam_deploy import NetworkOptions, OnnxOptions, SimamError, export_onnx
from simam_deploy.cli.export import main
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source import load_subject
from tests.golden.attention import CASES, compared
from tests.marks import slow_but

QUICK = ("cifar_resnet20-se",)


def file_of(case: str, folder: Path) -> Path:
    torch.save({"state_dict": compared(case).state_dict}, folder / "model_best.pth.tar")
    return folder / "model_best.pth.tar"


def options(case: str) -> NetworkOptions:
    size = compared(case).run.input.shape[1:]
    return NetworkOptions(input_shape=size, attention="none" if case.endswith("none") else None)


@pytest.mark.parametrize("name", slow_but(QUICK, CASES))
def test_the_exported_file_agrees_with_the_authors(name, tmp_path):
    case = compared(name)
    source = file_of(name, tmp_path)
    artifact = export_onnx(source, tmp_path / "m.onnx", network=options(name))
    how = "without attention" if case.attention == "none" else f"with {case.attention.upper()}"
    assert artifact.arch == f"{case.arch} {how}"
    assert artifact.validation.proved
    assert artifact.sites == ()
    assert (artifact.e_lambda, artifact.e_lambda_source) == (None, "there is no SimAM")
    assert f"{case.arch} {how} has no SimAM: no gate is judged" in artifact.notes
    manifest = json.loads(artifact.manifest_path.read_text())
    assert manifest["attention"] == case.attention
    assert "gates" not in manifest["validation"]
    with OnnxRunner(artifact.path) as runner:
        (output,) = runner.run({artifact.inputs[0].name: case.run.input}).values()
    # Float32 against their float64; measured: at most 6e-6.
    assert case.run.error([output]) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", [c for c in CASES if c.startswith("cifar_resnet20")])
def test_halves_are_proved_too(name, precision, tmp_path):
    source, asked = file_of(name, tmp_path), OnnxOptions(precision=precision)
    artifact = export_onnx(source, tmp_path / "m.onnx", asked, options(name))
    assert artifact.validation.proved
    assert validate_models(source, artifact.path, options(name)).passed


def refused(*argv: str, capsys) -> str:
    assert main([*argv, "-q"]) == 2
    return capsys.readouterr().err


def test_what_contradicts_the_keys_is_refused(tmp_path, capsys):
    source = str(file_of("cifar_resnet20-se", tmp_path))
    said = refused(source, "--attention", "none", capsys=capsys)
    assert "of SE attention, and the network was said to have no attention (--attention)" in said
    said = refused(source, "--lambda", "0.1", capsys=capsys)
    assert "cifar_resnet20 with SE has no SimAM, and so no lambda" in said
    assert list(tmp_path.iterdir()) == [Path(source)]


@pytest.mark.slow  # keys that show nothing are held against all networks
def test_a_plain_network_must_be_said_to_be_one(tmp_path):
    source = file_of("cifar_resnet20-none", tmp_path)
    with pytest.raises(SimamError, match="a plain cifar_resnet20's and show no SimAM"):
        load_subject(source, NetworkOptions())
    for said in (NetworkOptions(arch="cifar_resnet20"), NetworkOptions(attention="simam")):
        assert load_subject(source, said).facts["arch"] == "cifar_resnet20"
    plain = load_subject(source, NetworkOptions(attention="none"))
    assert plain.facts["arch"] == "cifar_resnet20 without attention"


def test_a_folder_that_says_simam_contradicts(tmp_path):
    folder = tmp_path / "cifar10-resnet20-basic-simam-param0.0001-nfilters16"
    folder.mkdir()
    source = file_of("cifar_resnet20-none", folder)
    subject = load_subject(source, NetworkOptions(attention="none"))
    (line,) = subject.contradicted(())
    assert "says lambda 0.0001, and cifar_resnet20 without attention has no SimAM" in line


def test_how_pictures_are_prepared_is_still_the_familys(tmp_path):
    source = file_of("cifar_resnet20-se", tmp_path)
    subject = load_subject(source, NetworkOptions(preprocess="imagenet,resize=32,crop=32"))
    assert not subject.contradictions  # nobody but the family's authors said another


@pytest.mark.parametrize("name", ["network.onnx", "program.pt2"])
def test_what_states_its_own_takes_no_attention(name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    if name.endswith("pt2"):
        program = torch.export.export(torch.nn.ReLU(), (torch.ones(1),))
        torch.export.save(program, tmp_path / name)
    with pytest.raises(SimamError) as caught:
        load_subject(tmp_path / name, NetworkOptions(attention="none", trust_pickle=True))
    assert "attention" in caught.value.options

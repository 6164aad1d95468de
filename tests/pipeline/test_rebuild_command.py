"""The command that a manifest names builds that very plan: it forgets nothing."""

import json
import shlex
import shutil

import pytest
import torch

from simam_deploy import NetworkOptions
from simam_deploy.cli.build import main, parser
from simam_deploy.cli.options import read_options
from simam_deploy.source.options import read_input
from tests.source import called

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)

OPTIONS = {
    "--arch": "cifar_preresnet20",
    "--lambda": "0.003",
    "--dynamic": "batch",
    "--input-shape": "3x16x24",
    "--opset": "19",
    "--input-names": "image",
    "--output-names": "scores",
    "--precision": "fp16",
    "--target": "sm86,sm89",
    "--workspace": "300",
    "--opt-shapes": "image:4x3x16x24",
    "--max-shapes": "image:8x3x16x24",
}
SWITCHES = ["--tf32", "--no-keep-io"]


def build(capsys, *arguments):
    assert main([*arguments, "--json", "-q"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_of_a_manifest_finds_its_plan_in_the_cache(
    digits, tmp_path, monkeypatch, capsys
):
    """The cache goes by all that a plan depends on: the command says it, and is understood."""
    shutil.copyfile(digits, tmp_path / "digits.pth.tar")
    monkeypatch.chdir(tmp_path)
    asked = [word for option in OPTIONS.items() for word in option]
    first = build(capsys, "digits.pth.tar", "-o", "d.engine", "--backend", "rtx", *asked, *SWITCHES)
    assert (first["e_lambda"], first["cached"]) == (0.003, False)
    manifest = json.loads((tmp_path / "d.engine.json").read_text())
    program, *again = shlex.split(manifest["command"])
    assert program == "simam-build"
    assert {flag: again[again.index(flag) + 1] for flag in OPTIONS if flag in again} == OPTIONS
    assert set(SWITCHES) <= set(again)
    second = build(capsys, *again)
    assert second["cached"], f"another plan came of {manifest['command']}"
    assert second["e_lambda"] == 0.003


def test_the_command_says_several_inputs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(called.Pair().state_dict(), "pair.pth")
    inputs = ["left:float32:2x3x16x16", "right:float32:2x3x16x24"]
    asked = [word for each in inputs for word in ("--input", each)]
    model = ["--model", "tests.source.called:Pair"]
    build(capsys, "pair.pth", "-o", "p.engine", "--backend", "rtx", *model, *asked)
    manifest = json.loads((tmp_path / "p.engine.json").read_text())
    said = read_options(NetworkOptions, parser().parse_args(shlex.split(manifest["command"])[1:]))
    assert said.inputs == tuple(map(read_input, inputs))
    assert [tensor["name"] for tensor in manifest["inputs"]] == ["left", "right"]
    assert [r["opt"] for r in manifest["profiles"][0]] == [[8, 3, 16, 16], [8, 3, 16, 24]]

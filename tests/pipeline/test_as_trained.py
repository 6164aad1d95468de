"""Networks as training leaves them, by the command: wrapped, half, with their head's flag unset."""

import json

import pytest
import torch
from torch import nn

from simam_deploy.cli.export import main as export
from tests.marks import slow
from tests.source import called

PICTURE = ["--input-shape", "1x3x16x16"]
PAIR = ["--input", "left:float32:1x3x16x16", "--input", "right:float32:1x3x16x16"]
WHOLE = {
    "parallel, half, flag": (lambda: nn.DataParallel(called.Detects().half()), PICTURE),
    "parallel, varargs": (lambda: nn.DataParallel(called.Star()), PAIR),
    "double": (called.double, PICTURE),
    "bfloat16": (called.bfloat, PICTURE),
}
NOTES = {
    "parallel, half, flag": (
        "DataParallel around the network taken off",
        "export set on detect (Head)",
        "float16 as made, converted to float32: outputs are within",
    ),
    "parallel, varargs": ("DataParallel around the network taken off",),
    "double": ("float64 as made, converted to float32: outputs are within",),
    "bfloat16": ("bfloat16 as made, converted to float32: outputs are within",),
}
OUTPUTS = {"parallel, varargs": ["left_out", "mean", "distance"]}


@pytest.mark.parametrize(
    "kind", ["parallel, half, flag", *slow(["parallel, varargs", "double", "bfloat16"])]
)
def test_a_pickled_network_is_exported_as_it_is_deployed(kind, tmp_path, capsys):
    make, asked = WHOLE[kind]
    torch.save(make(), tmp_path / "net.pt")
    assert export([str(tmp_path / "net.pt"), "--trust-pickle", *asked, "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["precision"] == "fp32"
    assert document["validation"]["passed"]
    assert [tensor["name"] for tensor in document["outputs"]] == OUTPUTS.get(kind, ["output"])
    for note in NOTES[kind]:
        assert sum(said.startswith(note) for said in document["notes"]) == 1, note


@pytest.mark.parametrize("factory", ["half", *slow(["double", "Star"])])
def test_a_factory_is_exported_with_its_weights(factory, tmp_path, capsys):
    torch.save(getattr(called, factory)().state_dict(), tmp_path / "net.pth")
    model = ["--model", f"tests.source.called:{factory}"]
    asked = PAIR if factory == "Star" else PICTURE
    assert export([str(tmp_path / "net.pth"), *model, *asked, "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["validation"]["proved"]

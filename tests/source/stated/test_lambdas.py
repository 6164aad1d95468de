import argparse
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from simam_deploy.errors import CheckpointError
from simam_deploy.models.zoo import IMAGENET
from simam_deploy.source.checkpoint import load_checkpoint
from simam_deploy.source.lambdas import choose_lambda
from simam_deploy.source.stated.reading import read_stated

PLAIN = Path("folder/model.pth")
CIFAR = "cifar100-resnet20-basic-simam-param0.0001-nfilters16-expansion1-baselr0.1-rseed0"


def find_lambda(tree, metadata, path):
    """What is taken where a user says nothing, as (value, source); None where it is assumed."""
    found = choose_lambda(None, read_stated(tree, metadata, path).lambdas, IMAGENET, "m.pth")
    return None if found.source.startswith("assumed") else (found.value, found.source)


@pytest.mark.parametrize(
    ("folder", "value"),
    [
        ("imagenet-resnet18-simam-param0.1", 0.1),
        ("imagenet-resnext50_32x4d-simam-param0.1-seed1", 0.1),
        (CIFAR, 0.0001),
        ("cifar10-wideresnet28x10-basic-simam-param1e-05-nfilters16", 1e-5),
        ("imagenet-resnet50-SimAM-param4", 4.0),
        ("imagenet-resnet50-simam-param4.0", 4.0),
        ("imagenet-resnet50-simam-param0", 0.0),
    ],
)
def test_official_names(folder, value):
    found = find_lambda({}, {}, Path(folder, "model_best.pth.tar"))
    assert found == (value, f"folder name ({folder})")
    name = f"{folder}.pth.tar"
    assert find_lambda({}, {}, Path("x", name)) == (value, f"file name ({name})")


@pytest.mark.parametrize(
    "args",
    [
        "python train.py --arch resnet18 --attention-type simam --attention-param 0.01",
        ["train.py", "--attention_type=simam", "--attention_param", "0.01"],
    ],
)
def test_a_command_line(args):
    assert find_lambda({"args": args}, {}, PLAIN) == (0.01, "file (args.attention_param)")


@pytest.mark.parametrize(
    "folder",
    [
        "imagenet-resnet50-se-param16",
        "imagenet-resnet50",
        "imagenet-resnet50-simam",
        "simam-param",
        "simam-param-1",
        "simam-param0.1.2",
        "simam-paramx0.1",
    ],
)
def test_other_names(folder):
    assert find_lambda({}, {}, Path(folder, "model.pth")) is None


def test_relative_path_in_the_folder(tmp_path, monkeypatch):
    folder = tmp_path / "imagenet-resnet18-simam-param0.1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert find_lambda({}, {}, Path("model.pth")) == (0.1, f"folder name ({folder.name})")


@pytest.mark.parametrize("value", [0.1, "0.1", torch.tensor(0.1), torch.tensor([0.1]).double()])
@pytest.mark.parametrize("key", ["e_lambda", "simam_lambda", "lambda", "attention_param"])
def test_top_level(key, value):
    found = find_lambda({key: value, "state_dict": {}}, {}, PLAIN)
    assert found[0] == pytest.approx(0.1, rel=1e-7)
    assert found[1] == f"file ({key})"


@pytest.mark.parametrize("wrap", [dict, argparse.Namespace])
@pytest.mark.parametrize("entry", ["args", "config", "cfg", "hyper_parameters", "hparams", "opt"])
@pytest.mark.parametrize("key", ["e_lambda", "simam_lambda", "attention_param"])
def test_arguments(wrap, entry, key):
    tree = {"state_dict": {}, entry: wrap(**{key: 2, "lr": 1})}
    assert find_lambda(tree, {}, PLAIN) == (2.0, f"file ({entry}.{key})")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("simam", 0.1),
        ("SimAM", 0.1),
        ("simam_module", 0.1),
        ("se", None),
        ("none", None),
        (None, None),
    ],
)
def test_attention_param_belongs_to_its_type(kind, value):
    args = argparse.Namespace(attention_type=kind, attention_param=0.1)
    found = find_lambda({"args": args}, {}, PLAIN)
    assert (found and found[0]) == value


def test_e_lambda_needs_no_type():
    args = {"attention_type": "se", "attention_param": 16, "e_lambda": 0.1}
    assert find_lambda({"args": args}, {}, PLAIN) == (0.1, "file (args.e_lambda)")


@pytest.mark.parametrize(
    "tree",
    [
        {},
        [],
        None,
        torch.ones(3),
        {"args": None},
        {"args": [1]},
        {"args": {"e_lambda": None}},
        {"args": {"lambda": 5.0}},
        {"args": {"attention_param": None, "attention_type": "simam"}},
    ],
)
def test_nothing_said(tree):
    assert find_lambda(tree, {}, PLAIN) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-0.1, "-0.1"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ("small", "'small'"),
        ("nan", "'nan'"),
        (True, "True"),
        (10**999, "1000"),
        ([0.1], "list"),
        (torch.ones(3), "Tensor"),
        (torch.ones((), device="meta"), "Tensor"),
        (1j, "complex"),
    ],
)
def test_no_lambda(value, shown):
    with pytest.raises(
        CheckpointError, match=f"has {shown}.* for lambda, file .args.e_lambda., wh"
    ):
        find_lambda({"args": {"e_lambda": value}}, {}, PLAIN)


@pytest.mark.parametrize(
    ("tree", "metadata", "path", "says"),
    [
        ({"e_lambda": 1, "args": {"e_lambda": 2}}, {}, PLAIN, r"1, file \(e_lambda\), and 2, file"),
        ({"args": {"e_lambda": 1, "attention_param": 2}}, {}, PLAIN, "args.e_lambda.*args.attent"),
        (
            {"args": {"e_lambda": 4}},
            {},
            Path("simam-param0.1/m.pth"),
            "4, file .* 0.1, folder name",
        ),
        ({}, {"e_lambda": "4"}, Path("simam-param0.1/m.pth"), "metadata e_lambda.* folder name"),
        ({}, {}, Path("simam-param0.1/simam-param4.pth"), "0.1, folder name .* 4, file name"),
    ],
)
def test_places_that_disagree(tree, metadata, path, says):
    with pytest.raises(CheckpointError, match=f"has two values of lambda: .*{says}.*say which"):
        find_lambda(tree, metadata, path)


def test_places_that_agree():
    tree = {"e_lambda": torch.tensor(0.1), "args": {"attention_param": 0.1}}
    found = find_lambda(tree, {}, Path("simam-param0.1", "model.pth"))
    assert found[1] == "file (e_lambda)"


def lambda_in(path):
    """What a file is found to say, as (value, source)."""
    return [(said.value, said.where) for said in load_checkpoint(path).stated.lambdas]


def test_from_files(save, weights, tmp_path):
    args = argparse.Namespace(attention_type="simam", attention_param=0.1)
    path = save({"state_dict": weights, "args": args})
    assert lambda_in(path) == [(0.1, "file (args.attention_param)")]
    path = save({"state_dict": weights}, f"{CIFAR}/model.pth.tar")
    assert lambda_in(path) == [(0.0001, f"folder name ({CIFAR})")]
    assert lambda_in(save({"state_dict": weights})) == []


def test_from_safetensors(tmp_path, weights):
    path = tmp_path / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt", "e_lambda": "0.1"})
    assert lambda_in(path) == [(0.1, "file (metadata e_lambda)")]


class SimamModule(nn.Module):
    """As people write it: lambda is an attribute, and leaves nothing in the weights."""

    def __init__(self, value):
        super().__init__()
        self.lam = value


class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.lam = 5.0


def test_a_network_saved_whole(save):
    """Each of its SimAM has its own; what others call by that name is theirs."""
    layer = nn.Sequential(nn.Conv2d(3, 4, 1), SimamModule(0.01), Loss())
    network = nn.Sequential(layer, SimamModule(0.01))
    assert lambda_in(save(network)) == [(0.01, "file (0.1.lam)")]
    assert lambda_in(save({"model": network})) == [(0.01, "file (model.0.1.lam)")]
    network[1].lam = 0.1
    assert [value for value, _ in lambda_in(save({"model": network}))] == [0.01, 0.1]


def test_hostile_arguments(forge, tmp_path):
    """A value nested deeper than Python's recursion limit is neither shown nor walked."""
    deep = b"]" * 5000 + b"a" * 4999
    tensor = forge.tensor(forge.storage(1), (1,))
    for key in ("e_lambda", "attention_type"):
        args = forge.dictionary(forge.text(key) + deep, forge.text("attention_param") + b"K\x01")
        body = forge.dictionary(
            forge.text("model") + forge.state_dict(tensor), forge.text("args") + args
        )
        path = forge.zip(tmp_path / "model.pth", body, {"0": bytes(4)})
        if key == "e_lambda":
            assert lambda_in(path)[0] == ("list", "file (args.e_lambda)")
        else:
            assert lambda_in(path) == []

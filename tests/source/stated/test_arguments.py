"""What scripts leave of their arguments: timm, Lightning, OmegaConf, FAIR, torchvision."""

import argparse
import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from simam_deploy.source.checkpoint import load_checkpoint
from simam_deploy.source.stated.choice import take
from simam_deploy.source.stated.reading import read_stated
from simam_deploy.source.stated.text import LARGEST

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
SCALED = {"color": "RGB", "scale": 1 / 255, **IMAGENET}


class AttributeDict(dict):
    """As Lightning's: a dict of a class that is not known here."""


class Node:
    """As OmegaConf's nodes keep themselves."""

    def __init__(self, **state):
        vars(self).update(_metadata=object(), _parent=None, **state)


def omega(value):
    if isinstance(value, dict):
        return Node(_content={key: omega(item) for key, item in value.items()})
    return Node(_val=value)


class Net(nn.Module):
    """As timm's networks: described in an attribute."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
        self.pretrained_cfg = {
            "input_size": (3, 160, 160), "crop_pct": 0.8, "label_names": ["a", "b"],
            "mean": tuple(IMAGENET["mean"]), "std": tuple(IMAGENET["std"]),
        }  # fmt: skip
        self.default_cfg = self.pretrained_cfg


def said(stated, what):
    return [(one.value, one.where) for one in getattr(stated, what)]


def test_timm(save, weights):
    args = argparse.Namespace(
        model="resnet50", num_classes=2, img_size=None, crop_pct=0.95, mean=IMAGENET["mean"],
        std=IMAGENET["std"], input_size=[3, 64, 64], attn_layer="simam", e_lambda=0.01,
    )  # fmt: skip
    stated = load_checkpoint(save({"arch": "resnet50", "args": args, "state_dict": weights})).stated
    assert said(stated, "lambdas") == [(0.01, "file (args.e_lambda)")]
    assert said(stated, "levels") == [(SCALED, "file (args.mean, std)")]
    assert said(stated, "sizes") == [((64, 64), "file (args.input_size)")]
    assert said(stated, "fits") == [({"resize": 67, "crop": 64}, "file (args.input_size)")]


def test_timm_saved_whole(save):
    stated = load_checkpoint(save({"model": Net()})).stated
    assert said(stated, "levels") == [(SCALED, "file (model.pretrained_cfg.mean, std)")]
    assert said(stated, "classes") == [(("a", "b"), "file (model.pretrained_cfg.label_names)")]
    fit = {"resize": 200, "crop": 160}
    assert said(stated, "fits") == [(fit, "file (model.pretrained_cfg.input_size)")]


@pytest.mark.parametrize("wrap", [dict, AttributeDict, argparse.Namespace])
def test_lightning(wrap, save, weights):
    file = {
        "pytorch-lightning_version": "2.4.0",
        "hparams_name": "kwargs",
        "hyper_parameters": wrap(lr=0.1, image_size=48, attention={"simam_lambda": 0.001}),
        "datamodule_hyper_parameters": wrap(class_names=["a", "b"], **IMAGENET),
        "state_dict": weights,
    }
    stated = load_checkpoint(save(file)).stated
    where = "file (hyper_parameters.attention.simam_lambda)"
    assert said(stated, "lambdas") == [(0.001, where)]
    assert said(stated, "sizes") == [((48, 48), "file (hyper_parameters.image_size)")]
    names = "file (datamodule_hyper_parameters.class_names)"
    assert said(stated, "classes") == [(("a", "b"), names)]
    assert said(stated, "levels") == [(SCALED, "file (datamodule_hyper_parameters.mean, std)")]


def test_omegaconf(save, weights):
    config = omega({"model": {"e_lambda": 0.01, "depth": 18}, "image_size": 64})
    stated = load_checkpoint(save({"config": config, "state_dict": weights})).stated
    assert said(stated, "lambdas") == [(0.01, "file (config.model.e_lambda)")]
    assert said(stated, "sizes") == [((64, 64), "file (config.image_size)")]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("MODEL:\n  SIMAM:\n    E_LAMBDA: 1e-2\nTRAIN:\n  LR: 0.1\n", "MODEL.SIMAM.E_LAMBDA"),
        ('{"model": {"e_lambda": 0.01}}', "model.e_lambda"),
        ("Namespace(lr=0.1, e_lambda=0.01)", "e_lambda"),
        ("{'lr': 0.1, 'model': {'type': 'SimAMResNet', 'lambda': 0.01}}", "model.lambda"),
        ("model = dict(layers=[dict(e_lambda=1 / 100)])", "model.layers.e_lambda"),
        ("model:\r\n  simam:\r\n    lam: 1e-2\r\n", "model.simam.lam"),
        ("\ufeff{'a': {'_target_': 'nets.SimAM', 'lambda_': 0.01}}", "a.lambda_"),
    ],
)
def test_arguments_as_text(text, where, weights, tmp_path):
    torch.save({"cfg": text, "model_state": weights, "state_dict": weights}, tmp_path / "m.pth")
    stated = load_checkpoint(tmp_path / "m.pth").stated
    assert said(stated, "lambdas") == [(0.01, f"file (cfg.{where})")]


@pytest.mark.parametrize("text", ["x = 1 #" + "x" * LARGEST, "<xml>" * 99])
def test_a_text_that_cannot_be_read_is_said(text):
    stated = read_stated({"args": "runs/resnet18.yaml", "cfg": text}, {})
    (note,) = take(stated, (1, 3, 8, 8)).notes
    assert note == f"file (cfg) is a text of {len(text):,} characters: left unread"


def test_a_text_that_stands_twice_is_read_once():
    text = "model = dict(e_lambda=0.01)" + " " * (LARGEST // 2)
    hub = {"runtime_info": {"cfg": text}}
    stated = read_stated({"meta": {"cfg": text}, "message_hub": hub}, {})
    assert said(stated, "lambdas") == [(0.01, "file (meta.cfg.model.e_lambda)")]
    assert stated.unread == ()


def test_beside_the_weights(save, weights):
    file = {"state_dict": weights, "class_to_idx": {"b": 1, "a": 0}, "img_size": 96}
    stated = load_checkpoint(save(file)).stated
    assert said(stated, "classes") == [(("a", "b"), "file (class_to_idx)")]
    assert said(stated, "sizes") == [((96, 96), "file (img_size)")]


def test_metadata_of_safetensors(tmp_path, weights):
    told = {
        "format": "pt",
        "class_names": json.dumps(["a", "b"]),
        "mean": str(IMAGENET["mean"]),
        "std": json.dumps(IMAGENET["std"]),
        "config": json.dumps({"e_lambda": 0.01, "image_size": [64, 48]}),
    }
    save_file(weights, tmp_path / "m.safetensors", metadata=told)
    stated = load_checkpoint(tmp_path / "m.safetensors").stated
    assert said(stated, "classes") == [(("a", "b"), "file (metadata class_names)")]
    assert said(stated, "levels") == [(SCALED, "file (metadata mean, std)")]
    assert said(stated, "lambdas") == [(0.01, "file (metadata config.e_lambda)")]
    assert said(stated, "sizes") == [((64, 48), "file (metadata config.image_size)")]


def test_names_are_those_of_classes_in_metadata_alone():
    stated = read_stated({"names": ["a", "b"]}, {"names": str({0: "c", 1: "d"})})
    assert said(stated, "classes") == [(("c", "d"), "file (metadata names)")]


@pytest.mark.parametrize(
    ("args", "what"),
    [
        ({"mean": [0.5] * 3, "std": [0, 1, 1]}, "levels"),
        ({"mean": [0.5] * 3, "std": [1.0]}, "levels"),
        ({"mean": [0.5] * 2, "std": [1.0] * 2}, "levels"),
        ({"mean": None, "std": None}, "levels"),
        ({"mean": [1e40], "std": [1.0]}, "levels"),
        ({"mean": 0.5, "std": 0.5}, "levels"),
        ({"mean": [float("nan")] * 3, "std": [1.0] * 3}, "levels"),
        ({"mean": torch.ones(9, 9), "std": torch.ones(9, 9)}, "levels"),
        ({"img_size": 0}, "sizes"),
        ({"img_size": -3}, "sizes"),
        ({"img_size": 2.5}, "sizes"),
        ({"img_size": 10**30}, "sizes"),
        ({"img_size": [1, 2, 3, 4]}, "sizes"),
        ({"img_size": "large"}, "sizes"),
        ({"img_size": True}, "sizes"),
        ({"img_size": 64, "crop_pct": 0}, "fits"),
        ({"img_size": 64, "crop_pct": -1}, "fits"),
        ({"img_size": 64, "crop_pct": "x"}, "fits"),
        ({"classes": 10}, "classes"),
        ({"classes": ["a", ""]}, "classes"),
        ({"classes": ["a", "\x1b[2J"]}, "classes"),
        ({"classes": ["a"] * (1 << 17)}, "classes"),
        ({"classes": {"a": 0, "b": 0}}, "classes"),
        ({"classes": {"a": 0, "b": 2}}, "classes"),
        ({"classes": [["a"]]}, "classes"),
    ],
)
def test_what_is_none_is_not_said(args, what):
    assert getattr(read_stated({"args": args}, {}), what) == ()


def test_levels_in_pixels_are_told_by_their_size():
    args = {"mean": [127.5] * 3, "std": [128] * 3}
    (levels,) = read_stated({"args": args}, {}).levels
    assert levels.value == {"color": "RGB", "scale": 1.0, "mean": [127.5] * 3, "std": [128.0] * 3}


@pytest.mark.parametrize("innermost", [{"e_lambda": 0.1}, 0])
def test_looking_is_bounded(innermost):
    """Lists of lists, each ten times in the next: 10^20 places, of which 100,000 are looked at."""
    nested = innermost
    for _ in range(20):
        nested = [nested] * 10
    stated = read_stated({"args": {"e_lambda": 0.1, "x": nested}}, {})
    assert said(stated, "lambdas") == [(0.1, "file (args.e_lambda)")]
    endless = {"e_lambda": 0.1}
    endless["again"] = endless
    assert len(read_stated({"args": endless}, {}).lambdas) == 1


def test_keys_of_strangers_are_printable():
    args = {"\x1b[2J" + "x" * 500: {"e_lambda": 0.1}}
    (found,) = read_stated({"args": args}, {}).lambdas
    assert found.where.isprintable()
    assert len(found.where) < 150

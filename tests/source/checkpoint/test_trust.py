"""Pickles that need code: refused, and read where they are trusted."""

import os
import sys
import warnings

import pytest
import torch
from torch import nn

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint import load_checkpoint


def equal(loaded, weights):
    return loaded.keys() == weights.keys() and all(
        torch.equal(loaded[key], weights[key]) for key in weights
    )


class Net(nn.Sequential):
    """A class of the user's own."""


def test_code_is_refused_by_name(save):
    path = save({"model": Net(nn.Linear(2, 2))})
    with pytest.raises(CheckpointError, match=rf"asks for {Net.__module__}.Net; .*or trust it"):
        load_checkpoint(path)


class Payload:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_code_does_not_run(save, weights, tmp_path):
    mark = tmp_path / "ran"
    path = save({"state_dict": weights, "x": Payload(mark)})
    with pytest.raises(CheckpointError, match=f"asks for {os.name}.*mkdir"):
        load_checkpoint(path)
    assert not mark.exists()
    load_checkpoint(path, trust_pickle=True)
    assert mark.exists()


def test_trust_reads_modules(save, monkeypatch):
    module = Net(nn.Linear(2, 2), nn.BatchNorm1d(2))
    monkeypatch.setitem(sys.modules, Net.__module__, sys.modules[Net.__module__])
    for value, entry in ((module, ""), ({"model": module, "epoch": 1}, "model")):
        checkpoint = load_checkpoint(save(value), trust_pickle=True)
        assert checkpoint.entry == entry
        assert equal(checkpoint.weights, dict(module.state_dict()))


def test_trust_prefers_an_averaged_module(save):
    model, ema = Net(nn.Linear(2, 2)), Net(nn.Linear(2, 2))
    checkpoint = load_checkpoint(save({"ema": ema, "model": model}), trust_pickle=True)
    assert (checkpoint.entry, checkpoint.notes) == ("ema", ("ema preferred over model",))
    assert equal(checkpoint.weights, dict(ema.state_dict()))


def test_trust_runs_no_code_where_none_is_needed(save, weights, monkeypatch):
    asked = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: asked.append(k) or load(*a, **k))
    load_checkpoint(save(weights), trust_pickle=True)
    assert [keywords["weights_only"] for keywords in asked] == [True]


@pytest.mark.parametrize("lost", ["module", "class"])
def test_trusted_class_that_cannot_be_imported(save, monkeypatch, lost):
    stand_in = type(sys)("their_project")
    stand_in.Net = type("Net", (nn.Linear,), {"__module__": "their_project"})
    monkeypatch.setitem(sys.modules, "their_project", stand_in)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch.save finds no source for the class
        path = save({"model": stand_in.Net(2, 2)})
    if lost == "module":
        monkeypatch.delitem(sys.modules, "their_project")
    else:
        del stand_in.Net
    with pytest.raises(CheckpointError, match=r"cannot be imported here .*their_project") as caught:
        load_checkpoint(path, trust_pickle=True)
    assert str(caught.value).isprintable()


def test_trusted_module_of_another_version(save, monkeypatch):
    path = save(Net(nn.Linear(2, 2)))
    monkeypatch.setattr(Net, "state_dict", lambda self: self.renamed, raising=True)
    with pytest.raises(CheckpointError, match=r"a Net that gives no state_dict .*renamed"):
        load_checkpoint(path, trust_pickle=True)

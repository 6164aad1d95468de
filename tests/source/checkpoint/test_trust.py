"""Pickles that hold objects: read without their code; refused where the weights need it."""

import collections
import datetime
import enum
import os
import sys
from pathlib import Path, PureWindowsPath

import numpy as np
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


class Payload:
    """Makes a folder when it is loaded by pickle's rules."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def two_ones():
    return torch.ones(2)


class Made:
    """A tensor that a call makes."""

    def __reduce__(self):
        return two_ones, ()


class Kind(enum.Enum):
    BEST = 1


def test_weights_that_code_makes_are_refused_by_name(save, weights):
    with pytest.raises(CheckpointError, match=r"asks for \S+two_ones under 'x'; .*or trust it"):
        load_checkpoint(save({"state_dict": {**weights, "x": Made()}}))


def test_of_a_network_too(save):
    network = Net(nn.Linear(2, 2))
    network._parameters["x"] = Made()
    path = save({"model": network})
    with pytest.raises(CheckpointError, match=r"asks for \S+two_ones under 'x'"):
        load_checkpoint(path)
    assert load_checkpoint(path, trust_pickle=True).weights["x"].tolist() == [1, 1]


def test_what_has_no_weights_is_refused_by_name(save):
    with pytest.raises(CheckpointError, match=rf"asks for {Net.__module__}.Made; .*or trust it"):
        load_checkpoint(save({"model": Made}))


def test_code_does_not_run(save, weights, tmp_path):
    """Not even where it is trusted, for the weights do not need it."""
    mark = tmp_path / "ran"
    path = save({"state_dict": weights, "x": Payload(mark)})
    for trust in (False, True):
        checkpoint = load_checkpoint(path, trust_pickle=trust)
        assert checkpoint.notes == (f"objects read without their code ({os.name}.mkdir)",)
        assert equal(checkpoint.weights, weights)
    assert not mark.exists()


@pytest.mark.parametrize(
    "beside",
    [
        PureWindowsPath("C:/run"), Path("run"), Kind.BEST, np.float64(0.5), np.zeros(3),
        {"history": collections.deque([1.0, 2.0], 9)}, collections.defaultdict(list, a=[1]),
        torch.ones, [Net(nn.Linear(2, 2))], datetime.date(2026, 1, 1), torch.Generator,
        {Path("a"): 1}, bytearray(b"a"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_objects_beside_weights(beside, protocol, weights, tmp_path):
    file = tmp_path / "m.pth"
    torch.save({"state_dict": weights, "beside": beside}, file, pickle_protocol=protocol)
    checkpoint = load_checkpoint(file)
    assert equal(checkpoint.weights, weights)
    noted = "objects read without their code" in "".join(checkpoint.notes)
    assert noted or (type(beside), protocol) == (bytearray, 5)


class Odd(torch.Tensor):
    pass


def with_attribute(tensor):
    tensor.is_expert = True
    return tensor


@pytest.mark.filterwarnings("ignore:.*quantiz.*:UserWarning", "ignore:.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*prototype.*:UserWarning", "ignore:.*beta.*:UserWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.eye(3).to_sparse_csr(),
        lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.ones(2, device="meta"),
        lambda: with_attribute(torch.ones(2, dtype=torch.int8)),
    ],
    ids=["sparse", "csr", "quantized", "nested", "meta", "integers with attributes"],
)
def test_odd_tensors_beside_weights(make, save, weights):
    assert equal(load_checkpoint(save({"state_dict": weights, "x": make()})).weights, weights)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "value",
    [
        with_attribute(nn.Parameter(torch.ones(2))),
        with_attribute(torch.ones(2)),
        torch.ones(2).as_subclass(Odd),
        nn.Buffer(torch.ones(2, dtype=torch.int64)),
    ],
    ids=["parameter", "tensor", "class", "buffer"],
)
def test_weights_are_read_without_their_attributes(value, protocol, tmp_path, weights):
    torch.save({**weights, "x": value}, tmp_path / "m.pth", pickle_protocol=protocol)
    loaded = load_checkpoint(tmp_path / "m.pth").weights["x"]
    assert type(loaded) is torch.Tensor
    assert loaded.tolist() == [1, 1]


@pytest.mark.parametrize("parameter", [False, True])
def test_integers_may_mean_what_their_attributes_say(parameter, save, weights):
    """As the scales of quantised weights do."""
    value = torch.ones(2, dtype=torch.int8)
    value = nn.Parameter(value, requires_grad=False) if parameter else value
    with pytest.raises(CheckpointError, match=r"asks for torch\._\S+ under 'x'; .*or trust it"):
        load_checkpoint(save({**weights, "x": with_attribute(value)}))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_network_saved_whole(protocol, tmp_path):
    """Its class is not imported, and need not be there."""
    network = Net(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Sequential(nn.Conv2d(1, 2, 3)))
    network.register_buffer("passing", torch.ones(3), persistent=False)
    for value, entry in ((network, ""), ({"model": network, "epoch": 1}, "model")):
        torch.save(value, tmp_path / "m.pt", pickle_protocol=protocol)
        checkpoint = load_checkpoint(tmp_path / "m.pt")
        assert (checkpoint.entry, checkpoint.pickled) == (entry, f"{Net.__module__}.Net")
        assert equal(checkpoint.weights, dict(network.state_dict()))


@pytest.mark.parametrize("innermost", [nn.Linear(1, 1), nn.Identity()])
def test_parts_that_multiply_are_bounded(innermost, tmp_path):
    """Forty modules, each twice in the next: a million million keys, or places without one."""
    network = innermost
    for _ in range(40):
        outer = nn.Module()
        outer.a = outer.b = network
        network = outer
    torch.save(network, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"a network of more than 100,000 parts"):
        load_checkpoint(tmp_path / "m.pt")


def test_a_network_that_holds_itself(tmp_path):
    network = nn.Module()
    network._modules["again"] = network
    network.weight = nn.Parameter(torch.ones(1))
    torch.save(network, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="modules more than 100 deep"):
        load_checkpoint(tmp_path / "m.pt")


class Twice:
    """Holds another twice, which holds another twice: its text would have 2^60 letters."""

    def __init__(self, depth=60):
        self.a = self.b = Twice(depth - 1) if depth else None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({Twice(): 1}, r"asks for \S+\.Twice"),
        ({Twice(): torch.ones(1)}, "has the key of type Inert in its state_dict, not a text"),
    ],
)
def test_an_object_without_end_is_not_spelt(value, says, save):
    with pytest.raises(CheckpointError, match=says):
        load_checkpoint(save(value))


def test_nor_is_it_a_part_of_a_network(save):
    network = nn.Module()
    network._parameters[Twice()] = nn.Parameter(torch.ones(1))
    with pytest.raises(CheckpointError, match="a part of type Inert, not a text"):
        load_checkpoint(save(network))


def test_keys_that_multiply_are_bounded(tmp_path):
    """One long name is in the key of every part: a pickle of 2 MB made 100 GB of them."""
    network = nn.Module()
    inner = network._modules["m" * 100_000] = nn.Module()
    inner._parameters.update(dict.fromkeys(map(str, range(100)), nn.Parameter(torch.ones(1))))
    torch.save(network, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="a network of more than 8,388,608 letters"):
        load_checkpoint(tmp_path / "m.pt")


def test_an_averaged_network_is_preferred(save):
    model, ema = Net(nn.Linear(2, 2)), Net(nn.Linear(2, 2))
    checkpoint = load_checkpoint(save({"ema": ema, "model": model}))
    assert (checkpoint.entry, checkpoint.notes[0]) == ("ema", "ema preferred over model")
    assert equal(checkpoint.weights, dict(ema.state_dict()))


def test_trust_runs_no_code_where_none_is_needed(save, weights, monkeypatch):
    asked = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: asked.append(k) or load(*a, **k))
    load_checkpoint(save(weights), trust_pickle=True)
    assert [keywords["weights_only"] for keywords in asked] == [True]


@pytest.mark.parametrize("lost", ["module", "class"])
def test_trusted_class_that_cannot_be_imported(save, monkeypatch, weights, lost):
    stand_in = type(sys)("their_project")
    stand_in.Tensor = type("Tensor", (), {"__module__": "their_project"})
    monkeypatch.setitem(sys.modules, "their_project", stand_in)
    path = save({"model": {**weights, "x": stand_in.Tensor()}})
    if lost == "module":
        monkeypatch.delitem(sys.modules, "their_project")
    else:
        del stand_in.Tensor
    with pytest.raises(CheckpointError, match=r"cannot be imported here .*their_project") as caught:
        load_checkpoint(path, trust_pickle=True)
    assert str(caught.value).isprintable()


def test_trusted_module_of_another_version(save, monkeypatch):
    network = Net(nn.Linear(2, 2))
    network._parameters["x"] = Made()
    path = save(network)
    monkeypatch.setattr(Net, "state_dict", lambda self: self.renamed, raising=True)
    with pytest.raises(CheckpointError, match=r"a Net that gives no state_dict .*renamed"):
        load_checkpoint(path, trust_pickle=True)

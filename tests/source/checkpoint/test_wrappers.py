import argparse
from collections import OrderedDict

import pytest
import torch

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.wrappers import find_weights


def state(seed=0, prefix="", keys=("conv1.weight", "bn1.weight", "bn1.running_mean")):
    generator = torch.Generator().manual_seed(seed)
    return OrderedDict((prefix + key, torch.randn(4, generator=generator)) for key in keys)


NOISE = {
    "epoch": 3,
    "arch": "resnet18",
    "best_acc": torch.tensor(1.0),
    "optimizer": {"state": {0: {"momentum_buffer": torch.ones(4)}}, "param_groups": [{}]},
    "scaler": {"scale": torch.tensor(65536.0), "growth_factor": 2.0, "growth_interval": 2000},
    "args": argparse.Namespace(lr=0.1),
}


def test_bare():
    weights = state()
    assert find_weights(weights) == ("", weights, ())


def test_bare_with_a_layer_named_like_a_wrapper():
    weights = state(keys=("model", "net", "ema"))
    assert find_weights(weights) == ("", weights, ())


@pytest.mark.parametrize("noise", [{}, NOISE])
@pytest.mark.parametrize(
    "entry",
    [
        "state_dict",
        "model_state_dict",
        "model",
        "net",
        "network",
        "module",
        "weights",
        "state_dict_ema",
        "ema_state_dict",
        "model_ema",
        "ema_model",
        "ema",
        "ema.module",
        "ema.state_dict",
        "ema.model.state_dict",
        "model.state_dict",
    ],
)
def test_wrapped(entry, noise):
    weights = tree = state()
    for name in reversed(entry.split(".")):
        tree = {**noise, name: tree}
    assert find_weights(tree) == (entry, weights, ())


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("tree", "entry", "other"),
    [
        ({"state_dict": state(1), "state_dict_ema": state(2)}, "state_dict_ema", "state_dict"),
        ({"model": state(1), "model_ema": state(2, "module.")}, "model_ema", "model"),
        ({"model": state(1), "ema": {"module": state(2), "decay": 0.9}}, "ema.module", "model"),
        ({"net": state(1, "module."), "ema": {"state_dict": state(2)}}, "ema.state_dict", "net"),
    ],
)
def test_ema_is_preferred_and_told(tree, entry, other, order):
    found = find_weights(dict(list(tree.items())[::order]))
    assert found.entry == entry
    assert found.notes == (f"{entry} preferred over {other}",)
    assert next(iter(found.state_dict.values())).equal(state(2)["conv1.weight"])


def test_swa_averages_count_as_complete():
    averaged = {"n_averaged": torch.tensor(3), **state(2, "module.")}
    assert find_weights({"model": state(1), "model_ema": averaged}).entry == "model_ema"


def test_an_empty_ema_is_no_ema():
    for empty in ({}, None, {"decay": 0.9}):
        assert find_weights({"model": state(), "ema": empty}).entry == "model"


def test_ema_without_buffers():
    tree = {"model": state(1), "ema": state(2, keys=("conv1.weight", "bn1.weight"))}
    with pytest.raises(CheckpointError, match=r"1 tensors in 'model' that 'ema' lacks .*'bn1.runn"):
        find_weights(tree)


def test_two_networks():
    with pytest.raises(CheckpointError, match=r"under 'model' and 'net': save the one you want"):
        find_weights({"model": state(1), "net": state(2)})
    with pytest.raises(CheckpointError, match=r"under 'model_ema' and 'ema.module'"):
        find_weights({"model_ema": state(1), "ema": {"module": state(2)}, "model": state(3)})


def test_one_network_under_two_names():
    weights = state()
    assert find_weights({"state_dict": weights, "model": weights}).entry == "state_dict"


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ([state()], "holds a list, not a state_dict"),
        (torch.ones(3), "holds a Tensor, not a state_dict"),
        (None, "holds a NoneType"),
        ({}, "holds nothing"),
        (NOISE, "no weights under a known name .it holds epoch, arch, best_acc, optimizer"),
        ({"student": state(), "teacher": state()}, "it holds student, teacher"),
        ({7: state()}, "it holds 7"),
        ({"state_dict": {}}, "it holds state_dict"),
        ({"state_dict": {"a": 1, "b": "c"}}, "it holds state_dict"),
        ({"a" * 999: 1}, "it holds a{40}[)]:"),
    ],
)
def test_no_weights(tree, says):
    with pytest.raises(CheckpointError, match=says):
        find_weights(tree)


def test_dicts_under_many_names_are_bounded():
    """Twelve names, three deep: each of 1,728 places could hold all that the file has."""
    names = ("ema", "model", "state_dict", "net", "network", "module", "weights")
    tree = {name: {name: {name: {} for name in names} for name in names} for name in names}
    with pytest.raises(CheckpointError, match="more than 50 dicts as weights"):
        find_weights(tree)


def test_a_dict_under_many_names_is_searched_once():
    class Counted(dict):
        asked = 0

        def values(self):
            Counted.asked += 1
            return super().values()

    tree = Counted(a=1)
    for _ in range(2):
        tree = dict.fromkeys(("ema", "model", "state_dict", "net", "network"), tree)
    with pytest.raises(CheckpointError, match="no weights under a known name"):
        find_weights({"model": tree})
    assert Counted.asked == 1

import math

import pytest
import torch
from torch import nn

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint import load_checkpoint
from simam_deploy.source.checkpoint.cleaning import clean

ROOM = 10_000


@pytest.mark.parametrize(
    ("prefix", "notes"),
    [
        ("", ()),
        ("module.", ("prefix module.",)),
        ("_orig_mod.", ("prefix _orig_mod.",)),
        ("model.", ("prefix model.",)),
        ("module._orig_mod.", ("prefix module.", "prefix _orig_mod.")),
        ("_orig_mod.module.", ("prefix _orig_mod.", "prefix module.")),
        ("model._orig_mod.module.", ("prefix model.", "prefix _orig_mod.", "prefix module.")),
        ("module.module.", ("prefix module.", "prefix module.")),
    ],
)
def test_prefixes_in_any_order(weights, prefix, notes):
    cleaned = clean({prefix + key: value for key, value in weights.items()}, ROOM)
    assert cleaned.notes == notes
    assert list(cleaned.weights) == list(weights)


@pytest.mark.parametrize("prefix", ["backbone.", "front.", "net.", "encoder."])
def test_other_prefixes_stay(weights, prefix):
    cleaned = clean({prefix + key: value for key, value in weights.items()}, ROOM)
    assert cleaned.notes == ()
    assert all(key.startswith(prefix) for key in cleaned.weights)


def test_what_stands_beside_the_network_is_left_out_and_named(weights):
    state_dict = {f"model.{key}": value for key, value in weights.items()}
    cleaned = clean({**state_dict, "loss.weight": torch.ones(1)}, ROOM)
    assert list(cleaned.weights) == list(weights)
    assert cleaned.notes == ("prefix model.", "1 key beside model. left out (loss.weight)")


def test_a_part_called_model_is_not_taken_for_the_network(weights):
    state_dict = {"model.weight": torch.ones(1), **weights}
    assert clean(state_dict, ROOM).weights.keys() == state_dict.keys()


@pytest.mark.parametrize("wrapper", ["module", "_orig_mod", "_fsdp_wrapped_module"])
def test_wrappers_inside_of_keys(wrapper, weights):
    state_dict = {key.replace("layer1.", f"layer1.{wrapper}."): t for key, t in weights.items()}
    cleaned = clean(state_dict, ROOM)
    assert list(cleaned.weights) == list(weights)
    assert cleaned.notes == (f"{wrapper}. in {len(state_dict.keys() - weights)} keys",)


def test_keys_that_only_a_wrapper_tells_apart_stay():
    state_dict = {"a.module.weight": torch.ones(1), "a.weight": torch.zeros(1)}
    assert clean(state_dict, ROOM).weights.keys() == state_dict.keys()


def test_tied_weights_are_made_once():
    """Half of what they would claim; and converted, they are still one tensor."""
    shared = torch.ones(ROOM // 8, dtype=torch.float64)
    weights = clean({"a": shared, "b": shared, "c": shared.view(-1)}, ROOM).weights
    assert {tensor.data_ptr() for tensor in weights.values()} == {weights["a"].data_ptr()}


def test_thop_counters_and_nothing_else_are_dropped(weights):
    counters = {
        f"module.{layer}{name}": torch.zeros(1, dtype=torch.float64)
        for layer in ("", "layer0.", "layer1.0.conv2.1.activaton.")
        for name in ("total_ops", "total_params")
    }
    state_dict = {f"module.{key}": value for key, value in weights.items()}
    kept = {"module.my_total_ops": torch.ones(1), "module.total_ops.weight": torch.ones(1)}
    cleaned = clean({**counters, **state_dict, **kept}, ROOM)
    assert cleaned.notes == ("6 thop counters", "prefix module.")
    assert cleaned.weights.keys() == {*weights, "my_total_ops", "total_ops.weight"}


def test_averaged_model(weights):
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    averaged = torch.optim.swa_utils.AveragedModel(network, use_buffers=True)
    cleaned = clean(averaged.state_dict(), ROOM)
    assert cleaned.weights.keys() == network.state_dict().keys()
    assert cleaned.notes == ("counter n_averaged", "prefix module.")


@pytest.mark.parametrize(
    ("dtype", "made", "note"),
    [
        (torch.float32, torch.float32, ()),
        (torch.int64, torch.int64, ()),
        (torch.float16, torch.float32, ("2 float16 tensors made float32",)),
        (torch.bfloat16, torch.float32, ("2 bfloat16 tensors made float32",)),
        (torch.float64, torch.float32, ("2 float64 tensors made float32",)),
        (torch.int32, torch.int64, ("2 int32 tensors made int64",)),
        (torch.uint8, torch.int64, ("2 uint8 tensors made int64",)),
        (torch.bool, torch.int64, ("2 bool tensors made int64",)),
    ],
)
def test_dtypes(save, dtype, made, note):
    values = torch.tensor([[0, 1], [1, 0]]).to(dtype)
    checkpoint = load_checkpoint(save({"a": values, "b": values[0].clone()}))
    assert checkpoint.notes == note
    assert [tensor.dtype for tensor in checkpoint.weights.values()] == [made, made]
    assert checkpoint.weights["a"].tolist() == [[0, 1], [1, 0]]


def test_half_values_are_exact():
    values = torch.tensor([0.1, 65504.0, 6e-8, -3.0]).half()
    assert torch.equal(clean({"a": values}, ROOM).weights["a"], values.float())


def test_parameters_become_tensors_in_order():
    cleaned = clean({"a": nn.Parameter(torch.ones(2, 3).t())}, ROOM).weights["a"]
    assert type(cleaned) is torch.Tensor
    assert cleaned.is_contiguous()
    assert not cleaned.requires_grad


def test_a_pending_minus_sign_is_applied(save):
    imaginary = torch.complex(torch.zeros(1), torch.ones(1)).conj().imag
    assert imaginary.is_neg()
    loaded = load_checkpoint(save({"a": imaginary, "room": torch.zeros(9)})).weights["a"]
    assert loaded.numpy().tolist() == [-1]


def test_clean_float32_is_not_copied(weights):
    cleaned = clean(weights, ROOM).weights
    assert all(cleaned[key].data_ptr() == weights[key].data_ptr() for key in weights)


def quantized():
    return torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)


class Odd(torch.Tensor):
    pass


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (3, "a value of type int under 'x'"),
        (None, "a value of type NoneType under 'x'"),
        ({"a": 1}, "a value of type dict under 'x'"),
        (torch.ones(2).to_sparse(), "a sparse_coo float32 tensor under 'x'"),
        (torch.ones(2, device="meta"), r"a meta \(dataless\) tensor under 'x'"),
        (torch.ones(2, dtype=torch.complex64), "a strided complex64 tensor under 'x'"),
        (torch.ones(2).to(torch.float8_e4m3fn), "a strided float8_e4m3fn tensor under 'x'"),
        (torch.ones(2, dtype=torch.uint64), "a strided uint64 tensor under 'x'"),
        (torch.ones(2).as_subclass(Odd), "a value of type Odd under 'x'"),
    ],
)
def test_what_is_no_weight(weights, value, says):
    with pytest.raises(CheckpointError, match=f"has {says}, not a dense real tensor"):
        clean({**weights, "x": value}, ROOM)


@pytest.mark.filterwarnings("ignore:.*quantiz.*:UserWarning", "ignore:.*:DeprecationWarning")
def test_quantized(weights):
    with pytest.raises(CheckpointError, match=r"a strided qint8 tensor under 'x'"):
        clean({**weights, "x": quantized()}, ROOM)


@pytest.mark.filterwarnings("ignore:.*quantiz.*:UserWarning", "ignore:.*:DeprecationWarning")
@pytest.mark.parametrize("kind", ["sparse", "quantized", "meta"])
def test_not_dense_in_a_file(save, weights, kind):
    value = {
        "sparse": torch.eye(3).to_sparse,
        "quantized": quantized,
        "meta": lambda: torch.ones(2, device="meta"),
    }[kind]()
    with pytest.raises(CheckpointError, match=f"holds a {kind}.* tensor, not dense weights"):
        load_checkpoint(save({**weights, "x": value}))


@pytest.mark.parametrize("key", [7, None, b"a", ("a", "b"), 1.5])
def test_keys_that_are_no_text(weights, key):
    with pytest.raises(CheckpointError, match=r"has the key .* not a text"):
        clean({**weights, key: torch.ones(1)}, ROOM)


def test_a_key_without_end(weights):
    """Its prefixes are taken off one by one."""
    key = "module." * 143
    with pytest.raises(CheckpointError, match="has a key of 1,001 letters in its state_dict"):
        clean({**weights, key: torch.ones(1)}, ROOM)


def test_nothing_but_counters():
    with pytest.raises(CheckpointError, match=r"holds no weights"):
        clean({"a.total_ops": torch.ones(1)}, ROOM)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_values_that_are_not_finite(save, weights, bad, dtype):
    broken = {key: value.clone() for key, value in weights.items()}
    broken["layer1.running_var"] = broken["layer1.running_var"].to(dtype)
    broken["layer1.running_var"][2:5] = bad
    broken["layer3.bias"][0] = bad
    says = r"NaN or infinite weights in 2 of 9 tensors \(3 of 8 values in 'layer1.running_var'"
    with pytest.raises(CheckpointError, match=says):
        load_checkpoint(save(broken))


def test_float64_beyond_float32():
    with pytest.raises(CheckpointError, match=r"NaN or infinite weights in 1 of 1"):
        clean({"a": torch.tensor([1e300], dtype=torch.float64)}, ROOM)


def test_large_finite_values_pass():
    largest = torch.full((1000,), torch.finfo(torch.float32).max)
    assert torch.equal(clean({"a": largest, "b": -largest}, ROOM).weights["a"], largest)


def test_empty_tensors_pass():
    assert clean({"a": torch.empty(0, 3)}, ROOM).weights["a"].shape == (0, 3)

import argparse
import collections
import os
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint import load_checkpoint

TWENTIETHS = range(1, 20)


def equal(loaded, weights):
    return loaded.keys() == weights.keys() and all(
        torch.equal(loaded[key], weights[key]) for key in weights
    )


def test_both_formats_load_every_bit(save, weights):
    loaded = load_checkpoint(save(weights)).weights
    assert equal(loaded, weights)
    assert all(type(tensor) is torch.Tensor for tensor in loaded.values())


def test_safetensors_loads_every_bit(tmp_path, weights):
    save_file(weights, tmp_path / "model.safetensors")
    loaded = load_checkpoint(tmp_path / "model.safetensors").weights
    assert equal(loaded, weights)


def test_a_training_checkpoint_needs_no_code(save, weights):
    """An optimizer with state, a scheduler's Counter, arguments with a device, a set, bytes."""
    network = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2, 2])
    arguments = argparse.Namespace(lr=0.1, device=torch.device("cuda:0"), ids=[0, 1], half=None)
    value = {
        "epoch": 90,
        "arch": "resnet18",
        "state_dict": collections.OrderedDict((f"module.{k}", v) for k, v in weights.items()),
        "best_acc": torch.tensor(71.3),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "args": arguments,
        "rng": torch.get_rng_state(),
        "seen": {1, 2},
        "shape": torch.Size((1, 3)),
        "dtype": torch.float16,
        "commit": b"\x00\xfe",
        "parameter": nn.Parameter(torch.ones(2)),
        "huge": 1 << 200,
        "complex": torch.ones(2, dtype=torch.complex64),
    }
    checkpoint = load_checkpoint(save(value))
    assert checkpoint.entry == "state_dict"
    assert equal(checkpoint.weights, weights)


def test_dtypes_without_a_storage_class(tmp_path, weights):
    """Their storages are untyped; only the zip format knows them."""
    path = tmp_path / "model.pth"
    odd = [torch.ones(2).to(dtype) for dtype in (torch.uint64, torch.float8_e4m3fn)]
    torch.save({"state_dict": weights, "odd": odd}, path)
    assert equal(load_checkpoint(path).weights, weights)


def test_shared_and_viewed_tensors(save):
    base = torch.arange(12.0).reshape(3, 4)
    value = {"a": base, "b": base.t(), "c": base[1:, ::2]}
    loaded = load_checkpoint(save({**value, "room": torch.zeros(99)})).weights
    assert all(torch.equal(loaded[key], value[key]) for key in value)
    assert all(tensor.is_contiguous() for tensor in loaded.values())


def test_big_endian_zip(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"a": torch.tensor([1.0, 2.0])}, path)
    with zipfile.ZipFile(path) as old:
        records = {name: old.read(name) for name in old.namelist()}
    records["model/byteorder"] = b"big"
    records["model/data/0"] = b"".join(records["model/data/0"][i : i + 4][::-1] for i in (0, 4))
    with zipfile.ZipFile(path, "w") as new:
        for name, raw in records.items():
            new.writestr(name, raw)
    assert load_checkpoint(path).weights["a"].tolist() == [1, 2]


def test_cuda_tensors_load_without_a_gpu(save, weights, request):
    path = save({"state_dict": weights, "best_acc": torch.tensor(1.0)})
    cpu, cuda = b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as old:
            records = {name: old.read(name) for name in old.namelist()}
        assert cpu in records["model/data.pkl"]
        records["model/data.pkl"] = records["model/data.pkl"].replace(cpu, cuda)
        with zipfile.ZipFile(path, "w") as new:
            for name, raw in records.items():
                new.writestr(name, raw)
    else:
        raw = path.read_bytes()
        assert cpu in raw
        path.write_bytes(raw.replace(cpu, cuda))
    loaded = load_checkpoint(path).weights
    assert equal(loaded, weights)
    assert all(tensor.device.type == "cpu" for tensor in loaded.values())


@pytest.mark.parametrize("part", TWENTIETHS)
def test_cut_off(save, weights, part):
    path = save({"epoch": 1, "state_dict": weights})
    os.truncate(path, path.stat().st_size * part // 20)
    with pytest.raises(CheckpointError, match=r"^model.pth: .*(cut off|damaged).*again$") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", TWENTIETHS)
def test_cut_off_safetensors(tmp_path, weights, part):
    path = tmp_path / "model.safetensors"
    save_file(weights, path)
    os.truncate(path, path.stat().st_size * part // 20)
    with pytest.raises(CheckpointError, match=r"^model.safetensors: is damaged or cut off.*again$"):
        load_checkpoint(path)


def test_one_byte_short(save, weights, tmp_path):
    path = save(weights)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(CheckpointError, match=r"cut off|damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "header",
    [
        b"{}}",
        b'{"a": 1}',
        b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}',
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        b"{" * 10_000,
    ],
)
def test_broken_safetensors(tmp_path, header):
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match=r"^model.safetensors: is damaged") as caught:
        load_checkpoint(path)
    assert str(caught.value).isprintable()


def test_random_tail_never_escapes(save, weights):
    """Bytes changed anywhere give weights or one CheckpointError, and no other exception."""
    path = save(weights)
    raw = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    refused = 0
    for _ in range(300):
        broken = bytearray(raw)
        for at in torch.randint(len(raw), (4,), generator=generator).tolist():
            broken[at] = int(torch.randint(256, (), generator=generator))
        path.write_bytes(broken)
        try:
            load_checkpoint(path)
        except CheckpointError as error:
            refused += 1
            assert str(error).isprintable()
    assert refused > 50


@pytest.mark.parametrize("where", ["torch.load", "pickletools.genops"])
def test_interrupt_passes(save, weights, monkeypatch, where):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    path = save(weights)
    monkeypatch.setattr(where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RecursionError("deep"), RuntimeError("a\nb"), AttributeError(), ImportError()],
)
def test_whatever_the_unpickler_raises_is_one_line(save, weights, monkeypatch, error):
    def fail(*_, **__):
        raise error

    path = save(weights)
    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(
        CheckpointError, match=rf"cannot be made \({type(error).__name__}: .+\): save"
    ):
        load_checkpoint(path)


def test_namespace_is_not_left_allowed(save, weights):
    before = set(torch.serialization.get_safe_globals())
    load_checkpoint(save({"state_dict": weights, "args": argparse.Namespace(lr=1)}))
    assert set(torch.serialization.get_safe_globals()) == before


def test_nothing_is_written(save, weights, tmp_path):
    path = save(weights)
    before = {p: p.stat().st_mtime_ns for p in Path(tmp_path).rglob("*")}
    load_checkpoint(path)
    assert {p: p.stat().st_mtime_ns for p in Path(tmp_path).rglob("*")} == before

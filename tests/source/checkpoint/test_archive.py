import struct
import warnings
import zipfile
import zlib

import pytest
import torch

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint import load_checkpoint
from simam_deploy.source.checkpoint.archive import read_archive


def rewrite(path, change=lambda name, raw: (name, raw), compression=zipfile.ZIP_STORED, first=()):
    with zipfile.ZipFile(path) as old:
        records = [change(info.filename, old.read(info)) for info in old.infolist()]
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as new:
        warnings.simplefilter("ignore", UserWarning)  # doubled names are made on purpose
        for name, raw in [*first, *records]:
            new.writestr(name, raw)


@pytest.fixture
def path(tmp_path, weights):
    path = tmp_path / "model.pth"
    torch.save(weights, path)
    return path


def test_archive_lists_every_storage(path, weights):
    archive = read_archive(path, path.stat().st_size)
    assert archive.storages == {
        str(i): tensor.numel() * tensor.itemsize for i, tensor in enumerate(weights.values())
    }


def test_a_rewritten_archive_loads_although_unaligned(path, weights):
    rewrite(path, first=[("model/odd", b"x")])
    loaded = load_checkpoint(path).weights
    assert all(torch.equal(loaded[key], weights[key]) for key in weights)


def test_old_names_and_empty_tensors(tmp_path, weights):
    path = tmp_path / "model.pth"
    torch.save({**weights, "empty": torch.empty(0, 3)}, path)
    rewrite(path, lambda name, raw: ("archive/" + name.partition("/")[2], raw))
    assert load_checkpoint(path).weights["empty"].shape == (0, 3)


def test_compressed(path):
    rewrite(path, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"compressed"):
        load_checkpoint(path)


def test_encrypted_flag(path):
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"encrypted"):
        load_checkpoint(path)


@pytest.mark.parametrize("field", [20, 24], ids=["stored size", "size"])
def test_record_sizes_over_the_file(path, field):
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02") + 1) + field
    raw[at : at + 4] = (10**9).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"claims 1,000,.* bytes of records in a file of"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["model/data.pkl", "model/DATA.PKL", "model/Data/0"])
def test_doubled_names(path, name):
    rewrite(path, first=[(name, b"\x80\x02}.")])
    with pytest.raises(CheckpointError, match=r"doubled names"):
        load_checkpoint(path)


def test_bytes_before_the_archive(path):
    path.write_bytes(b"PK\x03\x04" + bytes(60) + path.read_bytes())
    with pytest.raises(CheckpointError, match=r"bytes before it"):
        load_checkpoint(path)


def test_bytes_after_the_archive(path):
    path.write_bytes(path.read_bytes() + b"PK\x03\x04")
    with pytest.raises(CheckpointError, match=r"bytes after it"):
        load_checkpoint(path)


def test_a_comment_that_holds_another_archive(path, forge, tmp_path):
    inner = forge.zip(tmp_path / "inner.pth", b"}").read_bytes()
    path.write_bytes(path.read_bytes()[:-2] + len(inner).to_bytes(2, "little") + inner)
    with pytest.raises(CheckpointError, match=r"bytes before it"):
        load_checkpoint(path)


def test_a_comment(path):
    path.write_bytes(path.read_bytes()[:-2] + b"\x04\0text")
    with pytest.raises(CheckpointError, match=r"bytes after it"):
        load_checkpoint(path)


def entry(name, raw, offset):
    """A record, and what the directory says of it."""
    sizes = struct.pack("<3I2H", zlib.crc32(raw), len(raw), len(raw), len(name), 0)
    local = b"PK\x03\x04\x14" + bytes(9) + sizes + name + raw
    listed = b"PK\x01\x02\x14\0\x14" + bytes(9) + sizes + bytes(10)
    return local, listed + struct.pack("<I", offset) + name


def two_directories(first, second):
    """zipfile takes the 64-bit end before its locator, torch's reader the one it points to."""
    body, listed = b"", {}
    for which, records in enumerate((first, second)):
        listed[which] = b""
        for name, raw in records.items():
            local, said = entry(name.encode(), raw, len(body))
            body, listed[which] = body + local, listed[which] + said
    ends = []
    for which, records in ((1, second), (0, first)):
        counts = (len(records), len(records), len(listed[which]), len(body))
        body += listed[which]
        ends.append(len(body))
        body += b"PK\x06\x06" + struct.pack("<Q2H2I4Q", 44, 45, 45, 0, 0, *counts)
    body += b"PK\x06\x07" + struct.pack("<IQI", 0, ends[0], 1)
    short = struct.pack("<2H2I", counts[0], counts[0], *counts[2:])
    return body + b"PK\x05\x06" + bytes(4) + short + bytes(2)


@pytest.mark.parametrize(
    "hidden", [{"a/data.pkl": b"\x80\x02N."}, {"a/data.pkl": b"\x80\x02}.", "a/constants.pkl": b""}]
)
def test_a_second_directory(tmp_path, hidden):
    """torch.load would take the second for TorchScript, and run its code."""
    path = tmp_path / "model.pth"
    shown = {"a/data.pkl": b"\x80\x02}.", "a/version": b"3\n"}
    path.write_bytes(two_directories(shown, hidden | {"a/version": b"3\n"}))
    with pytest.raises(CheckpointError, match=r"that two readers read as two"):
        load_checkpoint(path)


def test_torchscript(tmp_path):
    path = tmp_path / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is
        torch.jit.trace(torch.nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2)).save(path)
    for trust in (False, True):
        with pytest.raises(CheckpointError, match=r"TorchScript archive.*state_dict"):
            load_checkpoint(path, trust_pickle=trust)


@pytest.mark.parametrize(
    "names", [("m/models/model.json", "m/archive_format"), ("serialized_exported_program.json",)]
)
def test_exported_program(tmp_path, names):
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"pt2")
    with pytest.raises(CheckpointError, match=r"torch.export program \(.pt2\).*state_dict"):
        load_checkpoint(path)


def test_other_zip(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/resnet18.pth", b"")
    with pytest.raises(CheckpointError, match=r"holds weights/resnet18.pth.*unpack it"):
        load_checkpoint(path)


def test_oversized_pickle(path, monkeypatch):
    monkeypatch.setattr("simam_deploy.source.checkpoint.archive.MAX_PICKLE_BYTES", 100)
    with pytest.raises(CheckpointError, match=r"has a pickle of .* more than the 100"):
        load_checkpoint(path)


def test_flipped_bytes_in_the_pickle(path):
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"_rebuild_tensor_v2")] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"damaged"):
        load_checkpoint(path)

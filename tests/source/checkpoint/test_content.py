import os
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint import load_checkpoint
from simam_deploy.source.checkpoint.content import Kind, identify

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 46"


@pytest.mark.parametrize("name", ["model.pth", "model.pth.tar", "model.pt", "model", "x.txt"])
def test_kind_is_told_by_content(tmp_path, weights, name):
    path = tmp_path / name
    torch.save(weights, path)
    assert identify(path) is Kind.ZIP
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    assert identify(path) is Kind.PICKLE
    save_file(weights, path)
    assert identify(path) is Kind.SAFETENSORS
    assert list(load_checkpoint(path).weights) == sorted(weights)


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_file_named_safetensors(tmp_path, weights, legacy):
    path = tmp_path / "model.safetensors"
    torch.save(weights, path, _use_new_zipfile_serialization=not legacy)
    assert load_checkpoint(path).weights.keys() == weights.keys()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"\x00", "unknown content"),
        (bytes(range(255, 0, -1)) * 40, "unknown content"),
        (b"\xff\xfe" * 3000, "unknown content"),
        (LFS, "Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title>", "HTML"),
        (b"<html>", "HTML"),
        ("épuisé: see the read-me\n".encode() * 99, "text file"),
        (b'{"arch": "resnet18"}', "text file"),
        (b"\x1f\x8b\x08\x00" + b"\xa5" * 60, "gzip"),
        (b"\x89HDF\r\n\x1a\n" + b"\xa5" * 60, "Keras"),
        (b"\x93NUMPY\x01\x00" + b"\xa5" * 60, "NumPy"),
        (b"PK\x05\x06" + bytes(18), "empty zip"),
        (b"a/storages".ljust(257, b"\0") + b"ustar\x0000" + bytes(255), "tar archive"),
        (b"\x08\x0a\x12\x07pytorch\x1a\x052.13.0", "ONNX"),
    ],
)
def test_strangers_are_named(tmp_path, content, says):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^model.pth: .*{says}"):
        load_checkpoint(path)


def test_a_real_onnx_file_is_named(tmp_path):
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(n, 1, [1]) for n in "xy")
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y])), tmp_path / "m")
    with pytest.raises(CheckpointError, match=r"ONNX model"):
        load_checkpoint(tmp_path / "m")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent.pth", "^absent.pth: no such file in '.*'$"),
        ("file/absent.pth", "no such file"),
        ("folder", "is a folder"),
        ("pipe", "pipe or a device"),
        ("loop", "cannot be read: Too many levels of symbolic links"),
        ("nul\0.pth", r"^nul\?.pth: cannot be read"),
        ("n" * 300, "cannot be read: File name too long"),
    ],
)
def test_what_is_no_file(tmp_path, name, says):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match=says):
        load_checkpoint(tmp_path / name)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device(device):
    if not Path(device).exists():
        pytest.skip(f"no {device} here")
    with pytest.raises(CheckpointError, match=r"pipe or a device"):
        load_checkpoint(device)


def test_no_permission(weights):
    # Not in tmp_path, whose own folders another user cannot enter.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.pth")
        torch.save(weights, path)
        path.chmod(0)
        Path(folder).chmod(0o755)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(CheckpointError, match=r"cannot be read: Permission denied"):
                load_checkpoint(path)
        finally:
            os.seteuid(user)


def test_empty_path_parts_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"^\.: is a folder"):
        load_checkpoint(".")

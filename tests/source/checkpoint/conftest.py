"""Files as training scripts leave them, and files as an attacker would make them."""

from __future__ import annotations

import struct
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint import load_checkpoint

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


class Forge:
    """Writes pickles opcode by opcode, and the two containers around them."""

    @staticmethod
    def pickle(body: bytes) -> bytes:
        return b"\x80\x02" + body + b"."

    @staticmethod
    def text(value: str) -> bytes:
        raw = value.encode()
        return b"X" + struct.pack("<I", len(raw)) + raw

    @staticmethod
    def number(value: int) -> bytes:
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw

    @staticmethod
    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(Forge.number, values)) + b"t"

    @staticmethod
    def name(name: str) -> bytes:
        module, _, attribute = name.rpartition(".")
        return f"c{module}\n{attribute}\n".encode()

    @staticmethod
    def call(name: str, *arguments: bytes) -> bytes:
        return Forge.name(name) + b"(" + b"".join(arguments) + b"tR"

    @staticmethod
    def storage(items: int, key: str = "0", kind: str = "Float") -> bytes:
        return (
            b"(" + Forge.text("storage") + Forge.name(f"torch.{kind}Storage") + Forge.text(key)
            + Forge.text("cpu") + Forge.number(items) + b"tQ"
        )  # fmt: skip

    @staticmethod
    def tensor(
        storage: bytes,
        size: tuple[int, ...],
        stride: tuple[int, ...] | None = None,
        offset: int = 0,
        name: str = "torch._utils._rebuild_tensor_v2",
        more: bytes = b"",
    ) -> bytes:
        stride = torch.empty(size, device="meta").stride() if stride is None else stride
        return Forge.call(
            name, storage, Forge.number(offset), Forge.numbers(size), Forge.numbers(stride),
            b"\x89", ORDERED_DICT, more,
        )  # fmt: skip

    @staticmethod
    def dictionary(*pairs: bytes) -> bytes:
        return b"}(" + b"".join(pairs) + b"u"

    @staticmethod
    def state_dict(tensor: bytes, key: str = "conv1.weight") -> bytes:
        return Forge.dictionary(Forge.text(key), tensor)

    @staticmethod
    def zip(path: Path, body: bytes, data: dict[str, bytes] | None = None) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", Forge.pickle(body))
            archive.writestr("a/byteorder", "little")
            for key, raw in (data or {}).items():
                archive.writestr(f"a/data/{key}", raw)
            archive.writestr("a/version", "3\n")
        return path

    @staticmethod
    def legacy(path: Path, body: bytes, data: dict[str, tuple[int, bytes]] | None = None) -> Path:
        data = data or {}
        if b"storage" in body:  # its id has one more field here, always None
            body = body.replace(b"tQ", b"NtQ")
        parts = [MAGIC, Forge.pickle(Forge.number(1001)), Forge.pickle(b"}"), Forge.pickle(body)]
        parts += [Forge.pickle(b"](" + b"".join(map(Forge.text, data)) + b"e")]
        parts += [struct.pack("<q", items) + raw for items, raw in data.values()]
        path.write_bytes(b"".join(parts))
        return path


@pytest.fixture
def forge() -> type[Forge]:
    return Forge


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    """A small network's state_dict: 10 entries, one of them int64."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5))
    network[1].running_mean.normal_()
    return {f"layer{key}": value for key, value in network.state_dict().items()}


@pytest.fixture(params=["zip", "legacy"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """torch.save into tmp_path, in both of its formats."""

    def write(value: object, name: str = "model.pth") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(value, path, _use_new_zipfile_serialization=request.param == "zip")
        return path

    return write


@pytest.fixture(params=["zip", "legacy"])
def refused(request: pytest.FixtureRequest, forge: type[Forge], tmp_path: Path) -> Any:
    """Write a pickle into each container, and return what is said against it."""

    def check(body: bytes, says: str, data: bytes = bytes(16)) -> None:
        path = tmp_path / "model.pth"
        if request.param == "zip":
            forge.zip(path, body, {"0": data})
        else:
            forge.legacy(path, body, {"0": (len(data) // 4, data)} if b"storage" in body else {})
        start = time.process_time()
        with pytest.raises(CheckpointError, match=says) as caught:
            load_checkpoint(path)
        assert time.process_time() - start < 1
        message = str(caught.value)
        assert message.startswith("model.pth: ")
        assert message.isprintable()
        assert "CheckpointError" not in message
        assert caught.value.__cause__ is None

    return check

"""Pickles whose opcodes are made by hand, and the five pickles of a legacy file."""

import argparse
import io
import pickle
import struct
import tarfile
from pathlib import Path

import pytest
import torch

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint import load_checkpoint
from tests.source.checkpoint.conftest import MAGIC

DEEP = b")" + b"\x85" * 20_000


@pytest.mark.parametrize(
    "body",
    [
        b"}" + DEEP + b"Ns",
        b"}(" + DEEP + b"Nu",
        b"c__builtin__\nset\n](" + DEEP + b"e\x85R",
        b"ccollections\nCounter\n](" + DEEP + b"e\x85R",
        b"c__builtin__\nset\n(" + DEEP + b"t\x85R",
    ],
)
def test_a_deep_key(refused, body):
    """Hashing 1,000,000 levels ends the process; 20,000 are as much refused."""
    refused(body, "a key is a nested tuple")


@pytest.mark.parametrize(
    "body",
    [
        b"]" * 20_000 + b"a" * 19_999,
        b"](" * 20_000 + b"e" * 20_000,
        b"N" + b"\x85" * 20_000,
        b"}K\x01" * 20_000 + b"N" + b"s" * 20_000,
    ],
    ids=["lists", "marks", "tuples", "dicts"],
)
def test_deep_nesting(refused, body):
    refused(body, "holds a (list|tuple), not a state_dict|no weights under a known name")


def test_a_dict_that_holds_itself(forge, refused):
    names = ("ema", "model", "state_dict", "net", "module")
    body = b"}q\x01(" + b"".join(forge.text(name) + b"h\x01" for name in names) + b"u"
    refused(body, "holds no weights under a known name")


@pytest.mark.parametrize(
    "body",
    [
        b"Nr\xff\xff\xff\xff0",
        b"j\xff\xff\xff\xff",
        b"h\x05",
        b"R",
        b"b",
        b"\x81",
        b"e",
        b"u",
        b"t",
        b"Q",
        b"NQ",
        b")Q",
        b"N)R",
        b"}NR",
        b"NNb",
        b"}}b",
        b"ccollections\nOrderedDict\n)RK\x01b",
        b"ccollections\nOrderedDict\n)\x81",
        b"]K\x01K\x02s",
        b"}K\x01a",
        b"",
    ],
)
def test_opcodes_in_no_sensible_order(refused, body):
    """A copy of the file would be as it is: what is wrong, and where, is said instead."""
    step = r"\([A-Z_]+[12]? at byte \d+, \w+: .+\): save the"
    refused(body, rf"{step}|pickle uses POP, |\(.*Can only build .*\): save the")


@pytest.mark.parametrize(
    "body",
    [
        b"X\xff\xff\xff\xffA",
        b"X\x01\0\0\0\xff",
        b"\x8a\xff",
        b"cno_newline",
        b"c\xff\xfe\n\xff\n",
        b"\xfe",
    ],
)
def test_opcodes_that_break_off(refused, body):
    refused(body, r"is damaged or cut off \(.*\): copy or download it again$")


def test_huge_memo_index(forge, tmp_path):
    """The index is a dict's key here and in torch; CPython's own unpickler would take 32 GB."""
    tensor = forge.tensor(forge.storage(1), (1,))
    body = forge.state_dict(tensor) + b"r\xfe\xff\xff\xff"
    path = forge.zip(tmp_path / "model.pth", body, {"0": bytes(4)})
    assert load_checkpoint(path).weights["conv1.weight"].tolist() == [0]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_other_protocols(tmp_path, weights, protocol, legacy):
    path = tmp_path / "model.pth"
    torch.save(weights, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    assert load_checkpoint(path).weights.keys() == weights.keys()


@pytest.mark.parametrize("change", ["missing", "more", "doubled"])
def test_legacy_list_of_storages(forge, tmp_path, change):
    """A storage that is not in the list would stay uninitialised memory."""
    keys = {"missing": {}, "more": {"0": 4, "1": 4}, "doubled": {"0": 4}}[change]
    data = {key: (count, bytes(4 * count)) for key, count in keys.items()}
    body = forge.state_dict(forge.tensor(forge.storage(4), (4,)))
    path = forge.legacy(tmp_path / "model.pth", body, data)
    if change == "doubled":
        raw = path.read_bytes()
        path.write_bytes(
            raw.replace(
                b"](X\x01\0\0\0" + b"0e", b"](" + b"X\x01\0\0\0" + b"0" + b"X\x01\0\0\0" + b"0e"
            )
        )
    with pytest.raises(CheckpointError, match=r"lists other storages than its tensors use"):
        load_checkpoint(path)


def test_legacy_counts_what_is_missing(forge, tmp_path):
    body = forge.state_dict(forge.tensor(forge.storage(4), (4,)))
    path = forge.legacy(tmp_path / "model.pth", body, {"0": (4, bytes(9))})
    with pytest.raises(CheckpointError, match=r"is cut off: 7 bytes are missing; copy it again"):
        load_checkpoint(path)


def test_legacy_storage_of_two_sizes(forge, tmp_path):
    tensors = [forge.tensor(forge.storage(n), (1,)) for n in (4, 2)]
    body = forge.dictionary(*(forge.text(str(i)) + t for i, t in enumerate(tensors)))
    path = forge.legacy(tmp_path / "model.pth", body, {"0": (4, bytes(16))})
    with pytest.raises(CheckpointError, match=r"storage 0 has two sizes"):
        load_checkpoint(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_pickle(tmp_path, protocol):
    path = tmp_path / "model.pkl"
    for value in ({}, 7, {"conv1.weight": [0.5]}, Path("x")):
        path.write_bytes(pickle.dumps(value, protocol))
        for trust in (False, True):
            with pytest.raises(CheckpointError, match=r"plain pickle that torch.save did not wr"):
                load_checkpoint(path, trust_pickle=trust)


FOREIGN = b"ca\nB\n"
SET_ATTRIBUTE = b"cargparse\nNamespace\nN}X\x06\0\0\0markedK\x01s\x86b"
"""Gives a class that everybody shares an attribute, where nobody screens it."""


def test_a_tar_archive_that_is_a_legacy_file_too(forge, tmp_path):
    """torch.load tries its first format first, and would read its members unscreened."""
    shown = MAGIC + b"".join(map(forge.pickle, (forge.number(1001), b"}")))
    rest = FOREIGN + b"\x86." + forge.pickle(b"]")
    members = {"storages": forge.pickle(SET_ATTRIBUTE), "tensors": b"", "pickle": b""}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, raw in {"shown": bytes(512), **members}.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    raw = bytearray(archive.getvalue())
    lead = shown + b"\x80\x02X" + struct.pack("<I", 512 - len(shown) - 7)
    raw[: len(lead)] = lead
    raw[512 : 512 + len(rest)] = rest
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + sum(raw[156:512]) + 8 * ord(" "))
    path = tmp_path / "model.pth"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="is a tar archive: unpack it first"):
        load_checkpoint(path)
    assert not hasattr(argparse.Namespace, "marked")


def test_the_class_of_a_network_is_never_a_known_one(forge, tmp_path):
    """torch would compare its source with the file's, 5 ms each time that three bytes ask."""
    request = forge.text("module") + b"cargparse\nNamespace\n" + forge.text("f") + forge.text("s")
    path = forge.legacy(tmp_path / "model.pth", b"(" + request + b"tQ")
    with pytest.raises(CheckpointError, match="a network's class is none"):
        load_checkpoint(path)


@pytest.mark.parametrize("opcode", [b"\x8b\x03\0\0\0abc", b"\x82\x01", b"i", b"o", b"\x97"])
def test_opcodes_that_are_not_read(refused, opcode):
    """Integers without end, registered extensions, instances by name, buffers out of band."""
    refused(b"}(K\x01" + opcode + b"u", r"pickle uses [A-Z0-9_]+, which|is damaged or cut off")

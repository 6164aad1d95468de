"""Pickles made by hand: what torch.load(weights_only=True) would believe is refused."""

import struct
import time

import pytest
import torch

from simam_deploy.checkpoint import load_checkpoint
from simam_deploy.errors import CheckpointError

SIZED = 1 << 40


@pytest.fixture(params=["zip", "legacy"])
def refused(request, forge, tmp_path):
    """Write a pickle into each container, and return what is said against it."""

    def check(body, says, data=b"\0" * 16):
        path = tmp_path / "model.pth"
        if request.param == "zip":
            forge.zip(path, body, {"0": data})
        else:
            forge.legacy(path, body, {"0": (len(data) // 4, data)} if b"storage" in body else {})
        start = time.perf_counter()
        with pytest.raises(CheckpointError, match=says) as caught:
            load_checkpoint(path)
        assert time.perf_counter() - start < 1
        message = str(caught.value)
        assert message.startswith("model.pth: ")
        assert message.isprintable()
        assert caught.value.__cause__ is None

    return check


def test_forged_files_load_when_honest(forge, tmp_path):
    tensor = forge.tensor(forge.storage(4), (2, 2))
    raw = struct.pack("<4f", 1, 2, 3, 4)
    zipped = forge.zip(tmp_path / "a", forge.state_dict(tensor), {"0": raw})
    legacy = forge.legacy(
        tmp_path / "b",
        forge.state_dict(forge.tensor(forge.storage(4), (2, 2))),
        {"0": (4, raw)},
    )
    for path in (zipped, legacy):
        assert load_checkpoint(path).weights["conv1.weight"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("items", [5, 1 << 20, SIZED, 1 << 61, 1 << 900])
def test_storage_larger_than_its_record(forge, refused, items):
    body = forge.state_dict(forge.tensor(forge.storage(items), (4,)))
    refused(body, r"claims a storage of [\d,]+ bytes in a file of|cut off")


def test_storages_that_add_up(forge, refused):
    pairs = [
        forge.text(str(i)) + forge.tensor(forge.storage(250, key=str(i)), (1,)) for i in range(99)
    ]
    refused(forge.dictionary(*pairs), "claims a storage of|KeyError")


@pytest.mark.parametrize("items", [-1, -SIZED])
def test_storage_of_negative_size(forge, refused, items):
    refused(forge.state_dict(forge.tensor(forge.storage(items), (1,))), "claims a storage of -")


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((5,), (1,), 0),
        ((4,), (1,), 1),
        ((2, 2), (3, 1), 0),
        ((2,), (SIZED,), 0),
        ((SIZED,), (1,), 0),
        ((1,), (1,), SIZED),
        ((SIZED,), (0,), 0),
        ((1 << 20, 1 << 20), (0, 0), 0),
        ((1 << 2000, 1 << 2000), (0, 0), 0),
    ],
)
def test_tensor_larger_than_its_storage(forge, refused, size, stride, offset):
    body = forge.state_dict(forge.tensor(forge.storage(4), size, stride, offset))
    refused(body, r"claims a tensor of shape \(")


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [((-1,), (1,), 0), ((1,), (-1,), 0), ((1,), (1,), -1), ((1,) * 99, (1,) * 99, 0)],
)
def test_tensor_of_impossible_shape(forge, refused, size, stride, offset):
    body = forge.state_dict(forge.tensor(forge.storage(4), size, stride, offset))
    refused(body, "impossible shape")


def test_stride_of_another_length(forge, refused):
    refused(forge.state_dict(forge.tensor(forge.storage(4), (2, 2), (1,))), "damaged")


def test_expanded_weights_that_add_up(forge, refused):
    """Each view fits the file; made contiguous, all of them together would not."""
    view = forge.tensor(forge.storage(100), (100, 1), (0, 1))
    pairs = [forge.text(str(i)) + view for i in range(99)]
    refused(forge.dictionary(*pairs), "claims 39,600 bytes of weights.*repeating", b"\0" * 400)


def test_large_dtype_over_small_storage(forge, refused):
    body = forge.tensor(
        forge.storage(4, kind="storage.Untyped"), (4,), more=forge.name("torch.uint64"),
        name="torch._utils._rebuild_tensor_v3",
    )  # fmt: skip
    refused(forge.state_dict(body), r"claims a tensor of shape \(4,\) \(32 bytes\)")


def calls(forge, name, *arguments):
    return forge.state_dict(forge.call(name, *arguments))


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("builtins.bytearray", (SIZED,), "builtins.bytearray"),
        ("__builtin__.bytearray", (SIZED,), "builtins.bytearray"),
        ("torch.FloatTensor", (SIZED,), "torch.FloatTensor"),
        ("torch.Tensor", (SIZED,), "torch.Tensor"),
        ("torch.storage.UntypedStorage", (SIZED,), "torch.storage.UntypedStorage is called"),
        ("torch.storage.TypedStorage", (SIZED,), "torch.storage.TypedStorage"),
        ("torch.FloatStorage", (SIZED,), "torch.FloatStorage is called"),
        ("torch.float32", (), "torch.float32 is called"),
        ("argparse.Namespace", (), "argparse.Namespace is called"),
        ("torch.nn.parameter.Parameter", (), "torch.nn.parameter.Parameter"),
        ("torch._utils._rebuild_parameter", (1,), "parameter"),
        ("torch._utils._rebuild_sparse_tensor", (), "holds a sparse tensor"),
        ("torch._utils._rebuild_qtensor", (), "holds a quantized tensor"),
        ("torch._utils._rebuild_nested_tensor", (), "holds a nested tensor"),
        ("torch._utils._rebuild_meta_tensor_no_storage", (), r"holds a meta \(dataless\) tensor"),
        ("posix.system", (), r"asks for posix.system;.*--trust-pickle \(trust_pickle=True\)"),
        ("__builtin__.eval", (), "asks for builtins.eval;.*--trust-pickle"),
        ("builtins.getattr", (), "asks for builtins.getattr;.*--trust-pickle"),
        ("torch.load", (), "asks for torch.load;.*--trust-pickle"),
        ("collections.OrderedDict.fromkeys", (), "asks for collections.OrderedDict.fromkeys"),
        ("numpy.core.multiarray.scalar", (), "asks for numpy.core.multiarray.scalar;.*--trust-p"),
        ("models.resnet\x1b[31m.Net", (), r"asks for models.resnet\?\[31m.Net;"),
    ],
)
def test_names_and_calls(forge, refused, name, arguments, says):
    refused(calls(forge, name, *map(forge.number, arguments)), says)


def test_bytes_that_double(forge, refused):
    body = b"c_codecs\nencode\n" + forge.text("A" * 64) + forge.text("latin1") + b"\x86Rq\x01"
    for index in range(1, 60):
        body += b"c_codecs\nencode\n" + bytes([ord("h"), index]) + forge.text("hex")
        body += b"\x86R" + bytes([ord("q"), index + 1])
    refused(forge.state_dict(body), "bytes are spelt in 'hex'")


@pytest.mark.parametrize(
    ("source", "function"),
    [
        ("list", b"c__builtin__\nset\n"),
        ("list", b"ccollections\nCounter\n"),
        ("list", b"ctorch\nSize\n"),
        ("text", b"c_codecs\nencode\n"),
        ("dict", b"ccollections\nCounter\n"),
    ],
)
def test_endless_copies(forge, refused, source, function):
    """Five bytes a copy: 100,000 copies of 100,000 items in a file of 1 MB."""
    count = 100_000
    start = {
        "list": b"](" + b"K\x01" * count + b"e",
        "text": forge.text("A" * count) + forge.text("latin1") + b"\x86",
        "dict": b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(count)) + b"u",
    }[source]
    pack = b"" if source == "text" else b"\x85"
    body = start + pack + b"q\x01" + function + b"q\x02" + b"h\x02h\x01R" * count
    refused(forge.state_dict(body), "claims more than 8,388,608 copies of its own values")


def test_endless_copies_of_attributes(forge, refused):
    state = b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(100_000)) + b"u"
    body = state + b"q\x01cargparse\nNamespace\nq\x02" + b"h\x02)\x81h\x01b" * 100_000
    refused(forge.state_dict(body), "copies of its own values")


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
        b"]" * 100_000 + b"a" * 99_999,
        b"](" * 50_000 + b"e" * 50_000,
        b"N" + b"\x85" * 100_000,
        b"}K\x01" * 50_000 + b"N" + b"s" * 50_000,
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
        b"X\xff\xff\xff\xffA",
        b"X\x01\0\0\0\xff",
        b"\x8a\xff",
        b"cno_newline",
        b"c\xff\xfe\n\xff\n",
        b"\xfe",
        b"",
    ],
)
def test_broken_opcodes(refused, body):
    refused(body, "damaged|needs|uses|not a state_dict")


def test_huge_memo_index(forge, tmp_path):
    """The index is a dict's key here and in torch; CPython's own unpickler would take 32 GB."""
    tensor = forge.tensor(forge.storage(1), (1,))
    body = forge.state_dict(tensor) + b"r\xfe\xff\xff\xff"
    path = forge.zip(tmp_path / "model.pth", body, {"0": bytes(4)})
    assert load_checkpoint(path).weights["conv1.weight"].tolist() == [0]


@pytest.mark.parametrize("protocol", [0, 1, 3, 4, 5])
def test_other_protocols(tmp_path, weights, protocol):
    path = tmp_path / "model.pth"
    torch.save(weights, path, pickle_protocol=protocol)
    if protocol == 3:
        assert load_checkpoint(path).weights.keys() == weights.keys()
        return
    with pytest.raises(CheckpointError, match=r"its pickle uses \w+, which.*--trust-pickle"):
        load_checkpoint(path)
    if protocol:  # torch itself does not read what it writes with 0
        assert load_checkpoint(path, trust_pickle=True).weights.keys() == weights.keys()


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


def test_legacy_storage_of_two_sizes(forge, tmp_path):
    tensors = [forge.tensor(forge.storage(n), (1,)) for n in (4, 2)]
    body = forge.dictionary(*(forge.text(str(i)) + t for i, t in enumerate(tensors)))
    path = forge.legacy(tmp_path / "model.pth", body, {"0": (4, bytes(16))})
    with pytest.raises(CheckpointError, match=r"storage 0 has two sizes"):
        load_checkpoint(path)


def test_plain_pickle(tmp_path, forge):
    path = tmp_path / "model.pkl"
    for raw in (forge.pickle(b"}"), forge.pickle(forge.number(7))):
        path.write_bytes(raw)
        for trust in (False, True):
            with pytest.raises(
                CheckpointError, match=r"plain pickle that torch.save did"
            ):
                load_checkpoint(path, trust_pickle=trust)

"""Claims that torch.load(weights_only=True) would believe are refused."""

import struct

import pytest

from simam_deploy.source.checkpoint import load_checkpoint

SIZED = 1 << 40


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
    ("key", "items"),
    [(b"K\x00", b"K\x04"), (b")", b"K\x04"), (b"X\x01\0\0\x000", b"]"), (b"X\x01\0\0\x000", b"N")],
)
def test_storage_of_impossible_key_or_size(forge, refused, key, items):
    body = b"(" + forge.text("storage") + forge.name("torch.FloatStorage") + key
    refused(body + forge.text("cpu") + items + b"tQ", "a storage has an impossible key or size")


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


def test_tensor_with_state(forge, refused):
    """torch would call the tensor's set_ with it, which takes any size."""
    tensor = forge.tensor(forge.storage(4), (4,))
    refused(forge.state_dict(tensor + b"}b"), r"torch.save did not write \(BUILD at byte")


def test_stride_of_another_length(forge, refused):
    body = forge.state_dict(forge.tensor(forge.storage(4), (2, 2), (1,)))
    refused(body, r"torch.save did not write \(REDUCE at byte \d+, ValueError: zip")


def test_expanded_weights_that_add_up(forge, refused):
    """Each view fits the file; made contiguous, all of them together would not."""
    views = [forge.tensor(forge.storage(100), (100, 1), (0, step)) for step in range(99)]
    pairs = [forge.text(str(i)) + view for i, view in enumerate(views)]
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
        ("torch.storage.TypedStorage", (SIZED,), "torch.storage.TypedStorage|lists other storages"),
        ("torch.FloatStorage", (SIZED,), "torch.FloatStorage is called"),
        ("torch.float32", (), "torch.float32 is called"),
        ("argparse.Namespace", (), "argparse.Namespace is called"),
        ("torch.nn.parameter.Parameter", (), "torch.nn.parameter.Parameter"),
        ("torch._utils._rebuild_parameter", (1,), "parameter"),
        ("torch._utils._rebuild_sparse_tensor", (), "holds a sparse tensor"),
        ("torch._utils._rebuild_qtensor", (), "holds a quantized tensor"),
        ("torch._utils._rebuild_nested_tensor", (), "holds a nested tensor"),
        ("torch._utils._rebuild_meta_tensor_no_storage", (), r"holds a meta \(dataless\) tensor"),
        ("posix.system", (), r"asks for posix.system;.*or trust it"),
        ("__builtin__.eval", (), "asks for builtins.eval;.*or trust it"),
        ("builtins.getattr", (), "asks for builtins.getattr;.*or trust it"),
        ("torch.load", (), "asks for torch.load;.*or trust it"),
        ("collections.OrderedDict.fromkeys", (), "asks for collections.OrderedDict.fromkeys"),
        ("numpy.core.multiarray.scalar", (), "asks for numpy.core.multiarray.scalar;.*or trust it"),
        ("models.resnet\x1b[31m.Net", (), r"asks for models.resnet\?\[31m.Net;"),
    ],
)
def test_names_and_calls(forge, refused, name, arguments, says):
    refused(calls(forge, name, *map(forge.number, arguments)), says)


def test_bytes_that_double(forge, refused):
    body = b"c_codecs\nencode\n" + forge.text("A" * 64) + forge.text("latin1") + b"\x86Rq\x01"
    for index in range(1, 20):
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
        ("Counter", b"ccollections\nCounter\n"),
    ],
)
def test_endless_copies(forge, refused, source, function):
    """Five bytes a copy: 3,000 copies of 3,000 items in 30 kB."""
    count = 3000
    start = {
        "list": b"](" + b"K\x01" * count + b"e",
        "text": forge.text("A" * count) + forge.text("latin1") + b"\x86",
        "dict": b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(count)) + b"u",
    }
    start["Counter"] = b"ccollections\nCounter\n" + start["dict"] + b"\x85R"
    start = start[source]
    pack = b"" if source == "text" else b"\x85"
    body = start + pack + b"q\x01" + function + b"q\x02" + b"h\x02h\x01R" * count
    refused(forge.state_dict(body), "claims more than 8,388,608 copies of its own values")


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        (b"cargparse\nNamespace\n", b""),
        (b"csome.where\nOptions\n", b""),
        (b"csome.where\nOptions\n", b"N\x86"),
    ],
    ids=["namespace", "object", "object with slots"],
)
def test_endless_copies_of_attributes(name, pack, forge, refused):
    """Also by objects of classes that are not known, which keep what they are given."""
    state = b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(3000)) + b"u"
    body = state + b"q\x01" + name + b"q\x02" + (b"h\x02)\x81h\x01" + pack + b"b") * 3000
    refused(forge.state_dict(body), "copies of its own values")

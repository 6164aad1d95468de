"""Claims that torch.load(weights_only=True) would believe are refused."""

import struct

import pytest
import torch

from simam_deploy.source.checkpoint import load_checkpoint
from tests.source.checkpoint.conftest import ORDERED_DICT

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
        (
            "torch._utils._rebuild_meta_tensor_no_storage",
            (),
            r"holds a meta \(dataless\) tensor|lists other storages",
        ),
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


FOREIGN = b"ca\nB\nq\x02"


@pytest.mark.parametrize(
    ("long", "again"),
    [
        (b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(3000)) + b"u",
         b"h\x02)\x81h\x01b"),
        (b"(" + b"N" * 3000 + b"t", b"h\x02)\x81h\x01b"),
        (b"(" + b"N" * 3000 + b"t", b"h\x02h\x01R"),
        (b"(" + b"N" * 3000 + b"t", b"}h\x01Ns"),
        (b"(" + b"(" + b"N" * 3000 + b"tt", b"}h\x01Ns"),
        (b"N", b"\x8f\x8f"),
    ],
    ids=["attributes", "slots", "arguments", "keys", "nested keys", "sets"],
)  # fmt: skip
def test_endless_copies_beside_weights(forge, refused, long, again, monkeypatch):
    """What a few bytes make objects without code read again: it took hours, or all memory."""
    monkeypatch.setattr("simam_deploy.source.checkpoint.claims.MAX_PICKLE_BYTES", 8000)
    body = FOREIGN + b"]" + long + b"q\x01a(" + again * 4000 + b"t\x86"
    refused(body, "claims more than 8,000 copies of its own values")


def mersenne(count):
    """Numbers whose hash is 0."""
    return [(k * ((1 << 61) - 1)) << 61 for k in range(1, count + 1)]


@pytest.mark.parametrize("start", [b"}", b"ccollections\nOrderedDict\n)R"])
@pytest.mark.parametrize("wrap", [b"", b"\x85", b"\x85\x85"])
def test_keys_of_one_hash(forge, refused, start, wrap):
    """Each is compared with all before it: 500,000 of them took 40 minutes."""
    pairs = [forge.number(n) + wrap + b"N" for n in mersenne(101)]
    refused(start + b"(" + b"".join(pairs) + b"u", "claims more than 100 keys of one hash")


@pytest.mark.parametrize(
    ("start", "end"),
    [(b"(", b"\x91"), (b"\x8f(", b"\x90"), (b"c__builtin__\nset\n](", b"e\x85R")],
    ids=["frozenset", "items", "set"],
)
def test_members_of_one_hash(forge, refused, start, end):
    body = start + b"".join(map(forge.number, mersenne(101))) + end
    refused(body, "claims more than 100 keys of one hash")


def test_keys_beside_weights_are_what_they_are(save, weights):
    """Tuples in tuples, sizes, large numbers; the same ones in many dicts."""
    keys = {(1, (2.5, "a")): 1, torch.Size((1, 2)): 2, 1 << 90: 3, frozenset({(1, 2)}): 4}
    value = {"state_dict": weights, "plans": [dict(keys) for _ in range(200)]}
    assert load_checkpoint(save(value)).weights.keys() == weights.keys()


def test_more_tensors_than_torch_save_writes(forge, refused, monkeypatch):
    monkeypatch.setattr("simam_deploy.source.checkpoint.claims.MAX_TENSORS", 100)
    for again in (forge.storage(0), forge.tensor(forge.storage(0), (0,))):
        refused(b"](" + again * 101 + b"e", "claims more than 100 tensors")


@pytest.mark.parametrize("kind", ["tensor", "parameter"])
def test_hooks_that_are_no_dict(forge, refused, kind):
    """Tensors that hold each other by their hooks: their end overflows the C stack."""
    tensor = forge.tensor(forge.storage(4), (4,))
    held = tensor.replace(ORDERED_DICT, tensor)
    if kind == "parameter":
        held = forge.call("torch._utils._rebuild_parameter", tensor, b"\x89", tensor)
    refused(forge.state_dict(held), "a tensor has hooks that are no dict")


def test_dtype_that_is_none(forge, refused):
    body = forge.tensor(
        forge.storage(4, kind="storage.Untyped"), (1,), more=b"N",
        name="torch._utils._rebuild_tensor_v3",
    )  # fmt: skip
    refused(forge.state_dict(body), r"torch.save did not write \(REDUCE at byte")


@pytest.mark.parametrize("name", ["get", "values", "items", "keys"])
def test_attributes_that_hide_methods(forge, refused, name):
    """A state_dict has _metadata; one whose `get` is a number ended in a traceback."""
    state = forge.dictionary(forge.text(name), b"K\x01")
    refused(ORDERED_DICT + state + b"b", "an attribute hides a method")
    counter = b"ccollections\nCounter\n" + state + b"\x85R"
    refused(ORDERED_DICT + counter + b"b", "an attribute hides a method")


def test_names_without_end(forge, refused):
    body = forge.text("m" * 1001) + forge.text("n") + b"\x93"
    refused(body, "names a class with 1,003 letters")


def test_names_with_escapes(forge, refused):
    r"""pickletools reads "\x74orch" as torch, the unpickler as it stands."""
    refused(b"c\\x74orch\nfloat32\n", "a class is named with escapes")


def test_a_memo_beyond_the_pickle(forge, refused):
    body = FOREIGN + b"r" + struct.pack("<I", 8_000_000)
    refused(body, "a value's number is beyond its length")

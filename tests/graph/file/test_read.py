"""An .onnx file that somebody sent: read whole, or refused in one line."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, parser

from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model
from tests.graph.onnx_text import run

X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((3, 5)).astype(np.float32)
SIGNATURE = "(float[2,3] x) => (float[2,3] y)"


def text(body: str, opsets: str = '"" : 18', signature: str = SIGNATURE, ir_version: int = 8):
    return parser.parse_model(
        f"<ir_version: {ir_version}, opset_import: [{opsets}]> g {signature} {{ {body} }}"
    )


def gemm(**weights: np.ndarray) -> onnx.ModelProto:
    model = text("y = MatMul(x, w)", signature="(float[2,3] x) => (float[2,5] y)")
    for name, array in (weights or {"w": W}).items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def put(folder: Path, content: onnx.ModelProto | bytes) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def refusal(path: Path) -> str:
    """The reason, which is one line and names the file."""
    with pytest.raises(InputError) as caught:
        read_model(path)
    said = str(caught.value)
    assert said.startswith(f"cannot use {path}: ")
    assert "\n" not in said
    assert len(said) < 600
    return said.removeprefix(f"cannot use {path}: ")


# ---------------------------------------------------------------- what is read


def test_a_model_is_read_as_it_is(tmp_path):
    path = put(tmp_path, gemm())
    np.testing.assert_allclose(run(read_model(path), x=X)[0], X @ W, rtol=1e-6)


@pytest.mark.parametrize("opset", [11, 13, 18, 23, onnx.defs.onnx_opset_version()])
def test_every_opset_from_11_on(opset, tmp_path):
    model = read_model(put(tmp_path, text("y = Relu(x)", f'"" : {opset}', ir_version=6)))
    assert model.opset_imports[""] == opset


def test_ops_of_known_domains_and_of_functions(tmp_path):
    body = "a = com.microsoft.Gelu(x) b = own.Twice(a) y = simam.SimAM<e_lambda = 0.1>(b)"
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1, "own" : 1, "simam" : 1]>
        g (float[1,2,3,4] x) => (float[1,2,3,4] y) {{ {body} }}
        <domain: "own", opset_import: ["" : 18]> Twice (a) => (b) {{ b = Add(a, a) }}"""
    )
    assert [n.domain for n in read_model(put(tmp_path, model)).graph] == [
        "com.microsoft", "own", "simam",
    ]  # fmt: skip


def test_the_default_domain_under_its_other_name(tmp_path):
    model = read_model(put(tmp_path, text("y = ai.onnx.Relu(x)", '"ai.onnx" : 18')))
    assert model.opset_imports == {"": 18}
    assert [node.domain for node in model.graph] == [""]


def test_types_that_do_not_fill_a_byte(tmp_path):
    model = gemm()
    packed = helper.make_tensor("four", TensorProto.INT4, [3], [1, 2, 3])
    model.graph.initializer.extend([packed, numpy_helper.from_array(np.zeros((0, 4)), "none")])
    assert read_model(put(tmp_path, model)).graph.initializers["four"].const_value.numpy().size == 3


# ---------------------------------------------------------------- files that are none


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "download"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        ((2).to_bytes(8, "little") + b"{}" + bytes(4), "safetensors"),
        (b"hello", "no ONNX model"),
    ],
    ids=["empty", "zip", "pickle", "lfs", "html", "gzip", "safetensors", "text"],
)
def test_other_files(content, says, tmp_path):
    assert says in refusal(put(tmp_path, content))


def test_a_torch_checkpoint_of_either_kind(tmp_path):
    for zipped, says in ((True, "torch.save"), (False, "torch checkpoints")):
        path = tmp_path / "m.onnx"
        torch.save({"w": torch.zeros(3)}, path, _use_new_zipfile_serialization=zipped)
        assert says in refusal(path)


def test_no_file_at_all(tmp_path):
    assert refusal(tmp_path / "m.onnx") == "no such file"
    assert "directory" in refusal(tmp_path)
    assert "no regular file" in refusal(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "no regular file" in refusal(tmp_path / "pipe.onnx")
    assert "null" in refusal(Path("a\0b"))


def test_random_bytes(tmp_path):
    for seed in range(20):
        refusal(put(tmp_path, np.random.default_rng(seed).bytes(5000)))


@pytest.mark.parametrize("twentieths", range(1, 20))
def test_truncated(twentieths, tmp_path):
    whole = gemm(w=W, big=np.zeros(5000, np.float32)).SerializeToString()
    refusal(put(tmp_path, whole[: len(whole) * twentieths // 20]))


@pytest.mark.parametrize(
    "word", [b"somebody", b"Twice", b"flag", b"alpha", b"own", b"then_branch", b"Constant"]
)
def test_texts_that_are_no_text(word, tmp_path):
    whole = model_with_everything().SerializeToString()
    assert word in whole
    assert "not UTF-8" in refusal(put(tmp_path, whole.replace(word, b"\xff" * len(word))))


@pytest.mark.parametrize("place", ["initializer", "attribute", "subgraph"])
def test_flipped_bytes_are_refused_or_read_but_never_crash(place, tmp_path):
    (tmp_path / "w").write_bytes(bytes(100))
    whole = holding(place, external(location="w")).SerializeToString()
    rng = np.random.default_rng(2)
    read = 0
    for _ in range(300):
        broken = bytearray(whole)
        for position in rng.integers(0, len(whole), rng.integers(1, 4)):
            broken[position] = rng.integers(256)
        path = put(tmp_path, bytes(broken))
        try:
            read_model(path)
            read += 1
        except InputError as error:
            assert "\n" not in str(error)
    assert 0 < read < 100


def model_with_everything() -> onnx.ModelProto:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "own" : 1], producer_name: "somebody">
        g (float[n,3] x) => (float[n,3] y) <float[3] b = {1, 2, 3}> {
            c = Constant<value = float[3] {4, 5, 6}>()
            flag = Constant<value = bool {1}>()
            a = If(flag) <
                then_branch = t () => (float[n,3] p) { p = Add(x, c) },
                else_branch = e () => (float[n,3] q) { q = Sub(x, b) }
            >
            y = own.Twice<alpha = 2.0>(a)
        }
        <domain: "own", opset_import: ["" : 18]> Twice <alpha> (a) => (b) { b = Add(a, a) }"""
    )
    onnx.checker.check_model(model)
    return model


# ---------------------------------------------------------------- graphs that are none


def without(field: str) -> onnx.ModelProto:
    model = text("y = Relu(x)")
    model.ClearField(field)
    return model


def twice(field: str) -> onnx.ModelProto:
    model = gemm()
    items = getattr(model.graph, field)
    items.append(items[0])
    return model


def attribute_of_two_types() -> onnx.ModelProto:
    model = text("y = Softmax<axis = 1>(x)")
    model.graph.node[0].attribute[0].f = 1.0
    model.graph.node[0].attribute[0].ClearField("i")
    return model


def sparse() -> onnx.ModelProto:
    model = text("y = Relu(x)")
    values, indices = (numpy_helper.from_array(a, "s") for a in (np.ones(1, "f"), np.zeros(1, "q")))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))
    return model


def imports(*pairs: tuple[str, int]) -> onnx.ModelProto:
    model = without("opset_import")
    model.opset_import.extend(helper.make_opsetid(*pair) for pair in pairs)
    return model


FOREIGN = '"" : 18, "own" : 1'


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (without("graph"), "holds no graph"),
        (without("opset_import"), "no opset import"),
        (without("ir_version"), "IR version"),
        (imports(("ai.onnx.ml", 3)), "default domain is not imported"),
        (imports(("", 18), ("", 17)), "two versions"),
        (imports(("", 18), ("ai.onnx", 18)), "default domain"),
        (text("y = Relu(x)", '"" : 7'), "opset 7: re-export with opset 11 or newer"),
        (text("y = Relu(x)", '"" : 10'), "opset 10: re-export"),
        (text("y = Relu(x)", '"" : 999'), "opset 999; the installed onnx"),
        (text("y = Relu(x)", ir_version=99), "IR version 99"),
        (text("y = own.Thing(x)", FOREIGN), "own::Thing, which nothing defines"),
        (text("y = own.Thing(x)"), "own::Thing, which nothing defines"),
        (text("a = Add(x, b) b = Relu(a) y = Relu(b)"), "topologically sorted"),
        (text("y = Relu(a) a = Add(x, y)"), "topologically sorted"),
        (text("y = Relu(q)"), "'q'"),
        (text("a = Relu(x) a = Abs(x) y = Relu(a)"), "'a' has been used"),
        (text("a = Relu(x)"), "'y' is not an output"),
        (text("y = Rellu(x)"), "Rellu"),
        (text("y = Relu(x, x)"), "input size 2"),
        (text("y = Relu<foo = 1>(x)"), "Unrecognized attribute: foo"),
        (text("y = Softmax<axis = 1.5>(x)"), "Mismatched attribute type"),
        (attribute_of_two_types(), "attribute"),
        (text("a = Cast<to = 7>(x) y = Add(x, a)"), "inconsistent type"),
        (text("a = Cast<to = 7>(x) y = Sigmoid(a)"), "unsupported type: tensor(int64)"),
        (text("y = Relu(x)", signature="(float[2,3] x) => (int64[2,3] y)"), "declared int64"),
        (text("y = Relu(x)", signature="(float[2,3] x, float x) => (float[2,3] y)"), "'x'"),
        (twice("initializer"), "2 initializers are named 'w'"),
        (sparse(), "sparse"),
    ],
)
def test_unsound_graphs(model, says, tmp_path):
    assert says in refusal(put(tmp_path, model))


def functions(*bodies: str) -> onnx.ModelProto:
    texts = [
        f'<domain: "own", opset_import: ["" : 18, "own" : 1]> F{i} (a) => (b) {{ {body} }}'
        for i, body in enumerate(bodies)
    ]
    head = f"<ir_version: 8, opset_import: [{FOREIGN}]> g {SIGNATURE} {{ y = own.F0(x) }}"
    return parser.parse_model("\n".join([head, *texts]))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (functions("b = own.F0(a)"), "own::F0 -> own::F0"),
        (functions("b = own.F1(a)", "b = own.F0(a)"), "calls itself"),
        (functions("b = own.F7(a)"), "own::F7, which nothing defines"),
        (functions("b = Relu(q)"), "'q'"),
        (
            functions(
                *(f"c = own.F{i}(a) d = own.F{i}(a) b = Add(c, d)" for i in range(1, 30)),
                "b = Relu(a)",
            ),
            "expand to more than",
        ),
    ],
    ids=["itself", "ring", "undefined", "unknown value", "2^30 nodes"],
)
def test_functions_that_cannot_be_expanded(model, says, tmp_path):
    assert says in refusal(put(tmp_path, model))


@pytest.mark.parametrize("depth", [5, 25, 60, 5000])
def test_nested_graphs_are_read_or_refused(depth, tmp_path):
    """Built as bytes: protobuf would not serialise what it does not read."""
    inner = helper.make_node("Identity", ["x"], ["y"]).SerializeToString()
    for _ in range(depth):
        value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None).SerializeToString()
        graph = field(1, inner) + field(2, b"g") + field(12, value)
        branches = (
            field(5, field(1, name) + field(6, graph) + b"\xa0\x01\x05")
            for name in (b"then_branch", b"else_branch")[:1]
        )
        inner = field(1, b"c") + field(2, b"y") + field(4, b"If") + b"".join(branches)
    model = text("y = Relu(x)")
    model.graph.ClearField("node")
    path = put(tmp_path, model.SerializeToString() + field(7, field(1, inner)))
    said = refusal(path)  # an If of one branch: refused by ONNX's checker, if it comes that far
    assert ("32 subgraphs" in said) == (depth > 32)


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, *varint(len(content))]) + content


def varint(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


# ---------------------------------------------------------------- tensors that lie


def lying(**fields) -> onnx.ModelProto:
    model = gemm()
    for name, value in fields.items():
        tensor = model.graph.initializer[0]
        if isinstance(value, list):
            tensor.ClearField(name)
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return model


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lying(dims=[2**20, 2**15]), "claims 137438953472 bytes"),
        (lying(dims=[2**62, 2**62]), "impossible shape"),
        (lying(dims=[-1, 15]), "impossible shape"),
        (lying(dims=[3, 6]), "claims 72 bytes for its shape [3, 6] and carries 60"),
        (lying(dims=[3, 4]), "claims 48 bytes"),
        (lying(data_type=0), "unknown type 0"),
        (lying(data_type=99), "unknown type 99"),
        (lying(data_type=11), "claims 120 bytes"),
        (lying(data_type=8), "strings"),
        (lying(raw_data=b""), "carries 0"),
        (lying(float_data=[1.0] * 15), "tensor"),
    ],
)
def test_tensors_that_claim_what_they_do_not_carry(model, says, tmp_path):
    assert says in refusal(put(tmp_path, model))


@pytest.mark.parametrize("place", ["attribute", "subgraph", "function", "function's subgraph"])
def test_they_are_found_wherever_they_are(place, tmp_path):
    assert "'liar' claims" in refusal(put(tmp_path, holding(place, liar())))


def liar() -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "liar")
    tensor.dims[0] = 2**33
    return tensor


def holding(place: str, tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = model_with_everything()
    constant = helper.make_node("Constant", [], ["unread"], value=tensor)
    if place == "attribute":
        model.graph.node.insert(0, constant)
    elif place == "function":
        model.functions[0].node.insert(0, constant)
    elif place == "function's subgraph":
        branch = helper.make_graph([], "inner", [], [], [tensor])
        node = helper.make_node("If", ["a"], ["c"], then_branch=branch, else_branch=branch)
        model.functions[0].node.append(node)
    elif place == "initializer":
        model.graph.initializer.append(tensor)
    else:
        model.graph.node[2].attribute[0].g.initializer.append(tensor)
    return model


# ---------------------------------------------------------------- external data


def external(**entries: object) -> onnx.TensorProto:
    """A tensor of six floats."""
    tensor = TensorProto(
        name="e", dims=[2, 3], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL
    )
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


PLACES = ["initializer", "attribute", "subgraph"]


@pytest.mark.parametrize("place", PLACES)
def test_external_data_are_found_in_the_models_folder(place, tmp_path, monkeypatch):
    sub = tmp_path / "sub"
    sub.mkdir()
    (sub / "w.bin").write_bytes(bytes(8) + X.tobytes())
    path = put(tmp_path, holding(place, external(location="sub/w.bin", offset=8, length=24)))
    for name in (path, Path("m.onnx")):
        monkeypatch.chdir(tmp_path)
        model = read_model(name)
        monkeypatch.chdir("/")
        (tensor,) = [t for t in tensors_of(model) if t.name == "e"]
        np.testing.assert_array_equal(tensor.numpy(), X)


def tensors_of(model: ir.Model):
    for graph in (model.graph, *model.graph.subgraphs()):
        yield from (v.const_value for v in graph.initializers.values())
    for node in model.graph.all_nodes():
        yield from (a.value for a in node.attributes.values() if a.type == ir.AttributeType.TENSOR)


def test_large_weights_stay_in_their_file_and_small_ones_hold_no_descriptor(tmp_path):
    """1500 vectors: more than the 1024 files that a process may have open."""
    model = text("y = Relu(x)")
    vectors = np.arange(1500 * 4, dtype=np.float32).reshape(1500, 4)
    (tmp_path / "w").write_bytes(vectors.tobytes() + bytes(10**6))
    for i in range(1500):
        tensor = external(location="w", offset=16 * i)
        tensor.name, tensor.dims[:] = f"v{i}", [4]
        model.graph.initializer.append(tensor)
    tensor = external(location="w", offset=vectors.nbytes, length=400_000)
    tensor.dims[:] = [100_000]
    model.graph.initializer.append(tensor)
    path = put(tmp_path, model)
    before = len(list(Path("/proc/self/fd").iterdir()))
    read = read_model(path).graph.initializers
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    np.testing.assert_array_equal(read["v1499"].const_value.numpy(), vectors[1499])
    assert isinstance(read["e"].const_value, ir.ExternalTensor)


@pytest.fixture
def folder(tmp_path) -> Path:
    """`in/` holds the model; beside it lies a secret, which links inside point to."""
    inside = tmp_path / "in"
    (inside / "dir").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(100))
    (tmp_path / "in.bin").write_bytes(bytes(100))
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer" / "w").write_bytes(bytes(100))
    (inside / "w").write_bytes(bytes(100))
    (inside / "link_out").symlink_to(tmp_path / "secret")
    (inside / "link_dir").symlink_to(tmp_path / "outer")
    (inside / "link_in").symlink_to(inside / "w")
    (inside / "loop").symlink_to(inside / "loop")
    (inside / "dangling").symlink_to(tmp_path / "nothing")
    os.link(tmp_path / "secret", inside / "hard")
    os.mkfifo(inside / "pipe")
    return inside


OUTSIDE = "outside the model's folder"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("../secret", OUTSIDE),
        ("dir/../../secret", OUTSIDE),
        ("dir/../w", OUTSIDE),
        ("../in.bin", OUTSIDE),
        ("..\\secret", OUTSIDE),
        ("C:\\secret", OUTSIDE),
        ("C:secret", OUTSIDE),
        ("\\\\host\\share", OUTSIDE),
        ("/etc/passwd", OUTSIDE),
        ("/dev/zero", OUTSIDE),
        ("{folder}/w", OUTSIDE),
        ("link_out", OUTSIDE),
        ("link_dir/w", OUTSIDE),
        ("dangling", OUTSIDE),
        (".", OUTSIDE),
        ("", OUTSIDE),
        ("missing", "'missing' are missing: put that file beside the model"),
        ("dir", "no regular file"),
        ("pipe", "no regular file"),
        ("hard", "hard-linked"),
        ("loop", "loop"),
        ("w\0", "null"),
        ("w" * 5000, "cannot be found"),
    ],
)
def test_a_location_is_judged_before_anything_is_opened(place, location, says, folder, monkeypatch):
    location = location.replace("{folder}", str(folder))
    path = put(folder, holding(place, external(location=location)))
    opened = []
    content = path.read_bytes()
    monkeypatch.setattr(Path, "read_bytes", lambda self: opened.append(self) or content)
    monkeypatch.setattr("builtins.open", lambda *a, **k: pytest.fail(f"opened {a}"))
    assert says in refusal(path)
    assert opened == [path]


def test_a_link_within_the_folder_and_a_linked_model_are_taken(folder, tmp_path):
    path = put(folder, holding("initializer", external(location="link_in", length=24)))
    assert read_model(path).graph.initializers["e"].const_value.numpy().shape == (2, 3)
    (tmp_path / "alias").symlink_to(folder)
    assert (
        read_model(tmp_path / "alias" / "m.onnx").graph.initializers["e"].const_value.numpy().any()
        == 0
    )


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"location": "w", "offset": 77}, "ends at byte 100, tensor 'e' at 101"),
        ({"location": "w", "offset": 10**17}, "ends at byte 100"),
        ({"location": "w", "offset": "9" * 5000}, "impossible offset"),
        ({"location": "w", "offset": -1}, "impossible offset '-1'"),
        ({"location": "w", "offset": "0x8"}, "impossible offset"),
        ({"location": "w", "offset": "٣"}, "impossible offset"),
        ({"location": "w", "length": 23}, "takes 24 bytes for its shape [2, 3]"),
        ({"location": "w", "length": 2**40}, "takes 24 bytes"),
        ({"location": "w", "length": ""}, "impossible length"),
        ({"location": "w", "__class__": "x"}, "ambiguously"),
        ({}, OUTSIDE),
    ],
)
def test_offsets_and_lengths(entries, says, folder):
    assert says in refusal(put(folder, holding("initializer", external(**entries))))


def test_ambiguous_and_overlapping_claims(folder):
    tensor = external(location="w")
    tensor.external_data.add(key="location", value="/etc/passwd")
    assert "ambiguously" in refusal(put(folder, holding("initializer", tensor)))
    both = external(location="w")
    both.raw_data = bytes(24)
    assert "as well" in refusal(put(folder, holding("initializer", both)))
    model = holding("initializer", external(location="w", offset=0))
    other = external(location="link_in", offset=20)
    other.name = "f"
    model.graph.initializer.append(other)
    assert "'e' and 'f' overlap in w" in refusal(put(folder, model))
    other.external_data[1].value = "0"
    model.graph.initializer[-1].CopyFrom(other)
    assert len(read_model(put(folder, model)).graph.initializers) == 3, "tied weights"


@pytest.mark.parametrize("place", ["function", "function's subgraph"])
def test_external_data_of_a_function_are_refused(place, folder):
    assert "function Twice" in refusal(put(folder, holding(place, external(location="w"))))

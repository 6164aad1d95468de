"""Files that others wrote: through every command, or one line that says what to do."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from simam_deploy.cli.build import main as build
from simam_deploy.cli.export import main as export
from simam_deploy.cli.inspect import main as inspect
from simam_deploy.cli.validate import main as validate
from simam_deploy.runtime import onnx_runner
from simam_deploy.runtime.onnx_runner import OnnxRunner
from tests.engine.conftest import cache
from tests.marks import slow_but
from tests.source import others

__all__ = ["cache"]

OPEN_SIZES = """sizes = Shape(x)
    zero = Constant<value = int64 {0}>() one = Constant<value_int = 1>()
    batch = Gather(sizes, zero) more = Add(batch, one) less = Sub(more, one)
    at = Constant<value_ints = [0]>() row = Unsqueeze(less, at)
    six = Constant<value_ints = [6]>() to = Concat<axis = 0>(row, six)"""
BY_SIZES = others.HEAD.replace("Flatten(p)", "Reshape(p, to)")
TWICE = """<domain: "own", opset_import: ["" : 17]> Twice (u) => (v) {
    v = Add(s, u) s = Relu(u) }"""
CALLED = others.HEAD.replace("y =", "y0 =") + " y = own.Twice(y0)"
GELU = others.HEAD.replace("y =", "y0 =") + " y = com.microsoft.Gelu(y0)"


def equal_biases() -> onnx.ModelProto:
    """What TorchScript makes of two biases that are equal."""
    model = others.network(front="same = Identity(b)")
    for node in model.graph.node:
        node.input[:] = ["same" if name == "b2" else name for name in node.input]
    return model


def one_name() -> onnx.ModelProto:
    model = others.network()
    for node in model.graph.node:
        node.name = "node"
    return model


def shapeless_output() -> onnx.ModelProto:
    model = others.network()
    model.graph.output[0].ClearField("type")
    return model


def names_of_ours() -> onnx.ModelProto:
    """Inner values that are called as the checks call what they put into a graph."""
    model = others.network()
    ours = {"a": "x0", "c": "y0", "t": "x1", "z": "y1", "p": "tap/0", "r": "y/down"}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [ours.get(name, name) for name in names]
    return model


def newest() -> onnx.ModelProto:
    model = others.with_axes_as_inputs(others.network(opsets='"" : 24', ir_version=11))
    model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    return model


WORKING = {
    "backwards": lambda: others.branching(backwards=True),
    "IR 3": others.ir3,
    "batch -1": lambda: others.negative(0),
    "batch 0": lambda: others.network(signature="(float[0,3,8,8] x) => (float[0,5] y)"),
    "batch 1 in a Reshape": lambda: others.baked(1),
    "batch 4 in a Reshape": lambda: others.baked(4),
    "equal biases": equal_biases,
    "one name": one_name,
    "no type": shapeless_output,
    "names of ours": names_of_ours,
    "sizes of a Shape": lambda: others.network(BY_SIZES, front=OPEN_SIZES),
    "weight that is an output": lambda: others.network(
        signature="(float[n,3,8,8] x) => (float[n,5] y, float[6] b)"
    ),
    "function, backwards": lambda: others.network(
        CALLED, opsets='"" : 17, "own" : 1', functions=TWICE
    ),
    "contrib op": lambda: others.network(GELU, opsets='"" : 17, "com.microsoft" : 1'),
    "opset 24": newest,
    "double": lambda: others.network(
        others.HEAD.replace("y =", "y0 =") + " y = Cast<to = 11>(y0)",
        "(double[n,3,8,8] x) => (double[n,5] y)",
        front="x0 = Cast<to = 1>(x)",
        reads="x0",
    ),
}
WAYS = {
    "fp32": (export, "{source}", "-q", "-o", "{out}/m.onnx"),
    "fp16": (export, "{source}", "-q", "-o", "{out}/m.onnx", "--precision", "fp16"),
    "bf16": (export, "{source}", "-q", "-o", "{out}/m.onnx", "--precision", "bf16"),
    "function": (
        export, "{source}", "-q", "-o", "{out}/m.onnx", "--lowering", "function", "--opset", "20"
    ),
    "inspect": (inspect, "{source}", "--precision", "fp16"),
    "validate": (validate, "{source}", "{source}", "-q"),
    "build": (build, "{source}", "-q", "--backend", "rtx", "-o", "{out}/m.engine"),
}  # fmt: skip
ALL = [(name, way) for name in WORKING for way in WAYS if (name, way) != ("opset 24", "function")]
QUICK = [
    ("backwards", "fp16"), ("backwards", "validate"), ("IR 3", "build"), ("IR 3", "validate"),
    ("batch -1", "build"), ("batch -1", "validate"), ("batch 0", "build"),
    ("batch 1 in a Reshape", "build"),
    ("batch 4 in a Reshape", "fp32"), ("equal biases", "fp16"), ("one name", "fp32"),
    ("no type", "fp32"), ("names of ours", "fp16"), ("sizes of a Shape", "fp16"),
    ("weight that is an output", "fp16"), ("function, backwards", "bf16"), ("contrib op", "fp16"),
    ("opset 24", "fp32"), ("double", "fp16"),
]  # fmt: skip


def put(folder, model) -> str:
    path = folder / "theirs.onnx"
    path.write_bytes(model.SerializeToString())
    return str(path)


def run(way, source, folder) -> int:
    if way == "build":
        pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is missing")
    command, *words = WAYS[way]
    return command([word.format(source=source, out=folder / "out") for word in words])


@pytest.mark.parametrize("case", slow_but(QUICK, ALL), ids=" ".join)
def test_a_valid_file_goes_every_way(case, tmp_path, cache, capsys):
    name, way = case
    source = put(tmp_path, WORKING[name]())
    assert run(way, source, tmp_path) == 0, capsys.readouterr().err


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", ["backwards", "IR 3", "names of ours"])
def test_what_comes_out_computes_the_same(name, precision, tmp_path):
    assert run(precision, put(tmp_path, WORKING[name]()), tmp_path) == 0
    if name == "backwards":  # ONNX Runtime does not take the branches
        put(tmp_path, others.branching())
    x = np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)
    expected, got = (outputs(tmp_path / name, x) for name in ("theirs.onnx", "out/m.onnx"))
    assert got.keys() == expected.keys() == {"y"}
    bound = 2e-6 if precision == "fp32" else 5e-3
    largest = np.abs(expected["y"]).max()
    np.testing.assert_allclose(got["y"], expected["y"], atol=bound * largest)


def outputs(path, x):
    kind = np.float16 if onnx.load(path).graph.input[0].type.tensor_type.elem_type == 10 else None
    with OnnxRunner(path) as runner:
        return runner.run({"x": x.astype(kind or np.float32)})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("backwards", "nodes that stood before what they read, sorted: "),
        ("batch -1", "sizes below 1, taken as free ones: 2"),
        ("batch 1 in a Reshape", "batch 1 works, 3 does not"),
        ("batch 4 in a Reshape", "the batch is fixed at 4"),
        ("one name", "nodes of one name, numbered: 26"),
    ],
)
def test_what_was_put_right_is_said(name, says, tmp_path):
    source = put(tmp_path, WORKING[name]())
    assert run("fp32", source, tmp_path) == 0
    document = json.loads((tmp_path / "out" / "m.json").read_text())
    assert any(says in note for note in document["notes"])


def test_a_batch_of_minus_one_has_a_name(tmp_path):
    assert run("fp32", put(tmp_path, others.negative(0)), tmp_path) == 0
    dims = shape_of(onnx.load(tmp_path / "out" / "m.onnx").graph.input[0])
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 3, 8, 8]


@pytest.mark.parametrize(
    ("model", "batch"), [(others.baked, 1), (others.baked, 4), (others.broadcast, 3)]
)
def test_a_batch_written_into_the_graph_is_fixed_in_what_is_made(model, batch, tmp_path, cache):
    source = put(tmp_path, model(batch))
    assert run("build", source, tmp_path) == run("fp32", source, tmp_path) == 0
    graph = onnx.load(tmp_path / "out" / "m.onnx").graph
    sizes = [dim.dim_value for v in (*graph.input, *graph.output) for dim in shape_of(v)]
    assert sizes == [batch, 3, 8, 8, batch, 5]
    document = json.loads((tmp_path / "out" / "m.engine.json").read_text())
    specs = (*document["inputs"], *document["outputs"])
    assert [size for spec in specs for size in spec["shape"]] == sizes
    assert any(f"batch {batch} works" in note for note in document["notes"])


def shape_of(value):
    return value.type.tensor_type.shape.dim


def test_a_plans_manifest_has_the_plans_types(tmp_path, cache):
    source = put(tmp_path, WORKING["double"]())
    assert run("build", source, tmp_path) == 0
    document = json.loads((tmp_path / "out" / "m.engine.json").read_text())
    assert [s["dtype"] for s in (*document["inputs"], *document["outputs"])] == ["float32"] * 2


def test_inspect_tells_the_version_that_the_file_states(tmp_path, capsys):
    assert inspect([put(tmp_path, others.ir3()), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ir_version"] == 3


STRINGS = helper.make_tensor_type_proto(TensorProto.STRING, None)
REFUSED = {
    "strings out": (
        lambda: others.giving(STRINGS, "Cast", ["y"], to=TensorProto.STRING),
        "output 'k' is a tensor of strings: export it again with a tensor of numbers there",
    ),
    "sequence out": (
        lambda: others.giving(
            helper.make_sequence_type_proto(others.SCORES), "SequenceConstruct", ["y", "y"]
        ),
        "output 'k' is a sequence:",
    ),
    "optional out": (
        lambda: others.giving(helper.make_optional_type_proto(others.SCORES), "Optional", ["y"]),
        "output 'k' is an optional:",
    ),
    "maps out": (
        lambda: others.giving(
            helper.make_sequence_type_proto(others.MAP), "ZipMap", ["y"],
            opsets='"" : 17, "ai.onnx.ml" : 3', domain="ai.onnx.ml",
            classlabels_strings=list("abcde"),
        ),
        "output 'k' is a sequence of maps, as ZipMap makes it:",
    ),
    "sequence in": (
        lambda: others.taking(
            helper.make_sequence_type_proto(others.TENSOR),
            "zero = Constant<value = int64 {0}>() x0 = SequenceAt(x, zero)", "x0",
        ),
        "input 'x' is a sequence:",
    ),
    "optional in": (
        lambda: others.taking(
            helper.make_optional_type_proto(others.TENSOR), "x0 = OptionalGetElement(x)", "x0"
        ),
        "input 'x' is an optional:",
    ),
    "nothing in": (
        lambda: others.network(
            signature="() => (float[1,5] y)",
            front="to = Constant<value_ints = [1,3,8,8]>() x = ConstantOfShape(to)",
        ),
        "takes no input",
    ),
    "no shape": (
        lambda: others.taking(helper.make_tensor_type_proto(TensorProto.FLOAT, None)),
        "states no shape for input x",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("inspect", "function", "bf16")])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_array_of_numbers_is_refused_in_one_line(name, way, tmp_path, capsys):
    make, says = REFUSED[name]
    source = put(tmp_path, make())
    assert run(way, source, tmp_path) == 1
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["theirs.onnx"]


@pytest.mark.parametrize("way", ["fp32", "validate", "build"])
@pytest.mark.parametrize("constant", [False, True], ids=["computed", "constant"])
def test_a_loop_without_end_is_stopped_and_named(constant, way, tmp_path, capsys, monkeypatch):
    """ONNX Runtime and onnx-simplifier fold no Loop: only a run can be without end."""
    monkeypatch.setattr(onnx_runner, "LONGEST_RUN", 0.3)
    source = put(tmp_path, others.looping(constant))
    assert run(way, source, tmp_path) == 1
    said = capsys.readouterr().err
    assert "ONNX Runtime was stopped at Loop node '/spin' after 0.3 s of one run" in said
    assert said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["theirs.onnx"]


@pytest.mark.parametrize("way", ["fp16", "function", "build"])
def test_what_others_state_of_their_file_stays_with_it(way, tmp_path, cache):
    theirs = {"names": "{0: 'a'}", "stride": "32", "imgsz": "[8, 8]", "task": "classify"}
    model = others.network(opsets='"" : 18')
    others.with_axes_as_inputs(model)
    helper.set_model_props(model, theirs)
    assert run(way, put(tmp_path, model), tmp_path) == 0
    if way == "build":
        document = json.loads((tmp_path / "out" / "m.engine.json").read_text())
        assert document["metadata"] == theirs
        return
    kept = {p.key: p.value for p in onnx.load(tmp_path / "out" / "m.onnx").metadata_props}
    assert theirs.items() <= kept.items()


def test_metadata_that_no_manifest_holds_are_left_out_of_it(tmp_path, cache):
    model = others.network()
    helper.set_model_props(model, {"log": "a" * 2**21})
    assert run("build", put(tmp_path, model), tmp_path) == 0
    document = json.loads((tmp_path / "out" / "m.engine.json").read_text())
    assert document["metadata"] == {}

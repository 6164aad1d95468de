"""Plans in an .onnx for ONNX Runtime's TensorRT-RTX provider: real ones, which build without a GPU.

The provider runs on a GPU alone. What it checks before that is done here anew, by its own rules:
onnxruntime/core/providers/nv_tensorrt_rtx, and its plugin package 0.5.0.
"""

import hashlib
import json
import re

import onnx
import onnxruntime as ort
import pytest

from simam_deploy import SimamError
from simam_deploy.cli.build import main as build_command
from simam_deploy.cli.export import main as export_command
from simam_deploy.cli.inspect import main as inspect_command
from simam_deploy.cli.validate import main as validate_command
from simam_deploy.core.manifest import check_files, find_manifest
from simam_deploy.engine.options import EngineOptions
from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.file.read import read_model
from simam_deploy.pipeline.build import build
from simam_deploy.pipeline.epcontext import build_epcontext
from simam_deploy.pipeline.inspect import inspect_onnx
from simam_deploy.runtime.onnx_runner import OnnxRunner
from tests.engine.conftest import write_onnx

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)

INT, STRING = onnx.AttributeProto.INT, onnx.AttributeProto.STRING
WRITTEN = {
    "embed_mode": INT,
    "ep_cache_context": STRING,
    "main_context": INT,
    "hardware_architecture": STRING,
    "onnx_model_filename": STRING,
    "partition_name": STRING,
    "ep_sdk_version": STRING,
    "ep_context_op_domain": STRING,
    "source": STRING,
}
"""What the provider's plugin package writes."""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def plan_of(path):
    """Load an engine as the provider does; what it refuses fails here."""
    model = onnx.load(path)
    onnx.checker.check_model(model)
    (node,) = model.graph.node
    assert (node.op_type, node.domain) == ("EPContext", "com.microsoft")
    assert list(node.input) == [value.name for value in model.graph.input]
    assert list(node.output) == [value.name for value in model.graph.output]
    types = {a.name: a.type for a in node.attribute}
    assert types.items() <= WRITTEN.items()
    assert WRITTEN.keys() - types.keys() <= {"hardware_architecture"}
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert values["main_context"] == 0
    assert values["source"] == b"NvTensorRTRTXExecutionProvider"
    plan = values["ep_cache_context"]
    if not values["embed_mode"]:
        name = plan.decode()
        assert not name.startswith("/") and ".." not in name
        assert not name.rpartition(".")[0].endswith(".stripped")
        plan = (path.parent / name).read_bytes()
    assert plan[:4] == b"vtrt"
    (head,) = (p.value for p in model.metadata_props if p.key.startswith("ep_compatibility_info."))
    assert bytes.fromhex(head) == plan[:64]
    return plan, values, model


@pytest.mark.parametrize("largest", [2**31 - 2**20, 1000])
@pytest.mark.parametrize(
    ("targets", "architecture"),
    [((), b"80+"), (("sm89",), b"89"), (("sm86", "sm120"), None)],
    ids=lambda value: str(value),
)
def test_what_the_provider_checks(tmp_path, targets, architecture, largest):
    onnx_file = write_onnx(tmp_path / "net.onnx")
    made = build_epcontext(onnx_file, engine=EngineOptions(targets=targets), largest=largest)
    assert made.path == tmp_path / "net_ctx.onnx"
    embedded = len(made.files) == 1
    assert embedded == (largest > 1000)
    plan, values, model = plan_of(made.path)
    assert values.get("hardware_architecture") == architecture
    assert values["embed_mode"] == embedded
    assert values["onnx_model_filename"] == b"net.onnx"
    assert values["ep_sdk_version"].decode() == made.plan.version
    (shape,) = (value.type.tensor_type.shape for value in model.graph.input)
    assert [d.dim_param or d.dim_value for d in shape.dim] == ["n", 4, 8, 8]
    document = find_manifest(made.path)
    assert check_files(made.path, document) == made.files
    assert document["epcontext"]["plan"] == hashlib.sha256(plan).hexdigest()
    assert document["targets"] == list(targets or ("default",))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"net.onnx", "net_ctx.json", *(file.name for file in made.files)}


def test_the_plan_is_the_one_that_build_makes(tmp_path):
    onnx_file = write_onnx(tmp_path / "net.onnx", inputs="float[1,4,8,8] x")
    engine = EngineOptions(backend="rtx", targets=("sm89",), cache=False)
    build(onnx_file, tmp_path / "net.engine", engine)
    made = build_epcontext(onnx_file, engine=engine)
    assert plan_of(made.path)[0] == (tmp_path / "net.engine").read_bytes()  # static: the same bytes


@pytest.mark.parametrize(
    ("stated", "of_plan"), [("double", "FLOAT"), ("int64", "INT64"), ("bool", "BOOL")]
)
def test_types_are_the_plans(tmp_path, stated, of_plan):
    kind = onnx.TensorProto.DataType.Value(stated.upper())
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]> g (float[n,4] x) => ({stated}[n,4] y)
        {{ y = Cast <to = {kind}> (x) }}"""
    )
    onnx.save(model, tmp_path / "net.onnx")
    made = build_epcontext(tmp_path / "net.onnx", engine=EngineOptions(targets=("sm89",)))
    (value,) = plan_of(made.path)[2].graph.output
    name = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    assert name == of_plan
    (spec,) = find_manifest(made.path)["outputs"]
    assert spec["dtype"] == {"FLOAT": "float32"}.get(of_plan, of_plan.lower())


@pytest.fixture
def context(tmp_path):
    onnx_file = write_onnx(tmp_path / "net.onnx")
    return build_epcontext(onnx_file, engine=EngineOptions(targets=("sm89",))).path


def test_onnx_runtime_opens_it_up_to_the_provider(context):
    with pytest.raises(Exception, match="EPContext node generated by") as failed:
        ort.InferenceSession(str(context), providers=["CPUExecutionProvider"])
    assert "'NvTensorRTRTXExecutionProvider' is not compatible with any execution" in str(
        failed.value
    )


def test_with_the_providers_package_up_to_the_driver(context):
    package = pytest.importorskip(
        "onnxruntime_ep_nv_tensorrt_rtx",
        reason="pip install onnxruntime-ep-nv-tensorrt-rtx-cu13 brings the provider",
    )
    try:
        ort.register_execution_provider_library("rtx", package.get_library_path())
    except Exception as error:
        assert "libcuda.so.1: cannot open shared object file" in str(error)
        return
    devices = [d for d in ort.get_ep_devices() if d.ep_name == package.get_ep_name()]
    if devices:
        options = ort.SessionOptions()
        options.add_provider_for_devices(devices[:1], {})
        assert ort.InferenceSession(str(context), options).get_providers()[0] == devices[0].ep_name


def test_what_is_said_of_it(context, capsys):
    assert inspect_command([str(context)]) == 0
    table = capsys.readouterr().out
    assert "in an EPContext node: its graph cannot be read" in table
    assert "hardware architecture  89" in table
    assert re.search(r"targets +sm89", table)
    assert inspect_command([str(context), "--json"]) == 0
    engine = json.loads(capsys.readouterr().out)["engine"]
    plan = plan_of(context)[0]
    assert (engine["plan_size"], engine["plan_sha256"]) == (
        len(plan),
        hashlib.sha256(plan).hexdigest(),
    )
    assert engine["plan_launches"] >= 1
    assert inspect_command([str(context), "--precision", "fp16"]) == 2
    original = str(context.with_name("net.onnx"))
    capsys.readouterr()
    assert validate_command([original, str(context), "-q"]) == 1
    words = capsys.readouterr().err.strip()
    assert "which only ONNX Runtime with NvTensorRTRTXExecutionProvider runs" in words
    assert len(words.splitlines()) == 1


def test_nothing_else_takes_it(context):
    with pytest.raises(InputError, match="engine in an EPContext node"):
        read_model(context)
    with pytest.raises(InputError, match="which NvTensorRTRTXExecutionProvider alone runs"):
        OnnxRunner(context)


@pytest.mark.parametrize("name", ["../net.onnx", "/etc/hostname", "sub/x", "no-such-file", ""])
def test_an_engine_elsewhere_is_not_read(context, name):
    model = onnx.load(context)
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "embed_mode":
            attribute.i = 0
        if attribute.name == "ep_cache_context":
            attribute.s = name.encode()
    onnx.save(model, context)
    with pytest.raises(InputError, match="its engine|holds no engine"):
        inspect_onnx(context)


def test_a_link_beside_it_is_not_read(tmp_path):
    engine = EngineOptions(targets=("sm89",))
    made = build_epcontext(write_onnx(tmp_path / "net.onnx"), engine=engine, largest=1000)
    beside = made.files[1]
    beside.unlink()
    beside.symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="is no engine"):
        inspect_onnx(made.path)


def test_by_the_commands(tmp_path, capsys):
    onnx_file = write_onnx(tmp_path / "net.onnx")
    asked = ["--format", "epcontext", "-q", "--json"]
    output = tmp_path / "named.onnx"
    assert build_command([str(onnx_file), "-o", str(output), "--target", "sm89", *asked]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["path"], document["provider"]) == (
        str(output),
        "NvTensorRTRTXExecutionProvider",
    )
    assert export_command([str(onnx_file), *asked]) == 0
    assert {"named.onnx", "named.json", "net_ctx.onnx", "net_ctx.json"} < {
        path.name for path in tmp_path.iterdir()
    }
    command = find_manifest(output)["command"]
    assert command == (
        "simam-build net.onnx -o named.onnx --backend rtx --target sm89 --format epcontext"
    )


@pytest.mark.parametrize(
    ("output", "options", "words"),
    [
        (None, {"backend": "tensorrt"}, "plans of TensorRT-RTX alone"),
        ("a..b.onnx", {}, "loads no file of that name"),
        ("a.engine", {}, "must be named"),
    ],
)
def test_what_cannot_be(tmp_path, output, options, words):
    onnx_file = write_onnx(tmp_path / "net.onnx")
    target = None if output is None else tmp_path / output
    with pytest.raises(UsageError, match=words):
        build_epcontext(onnx_file, target, EngineOptions(**options), largest=1000)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_what_is_somebody_elses_stays(tmp_path):
    onnx_file = write_onnx(tmp_path / "net.onnx")
    (tmp_path / "net_ctx.onnx").write_bytes(b"mine")
    with pytest.raises(SimamError, match="would be overwritten"):
        build_epcontext(onnx_file)
    assert (tmp_path / "net_ctx.onnx").read_bytes() == b"mine"

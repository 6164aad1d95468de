"""What is refused before a plan is loaded, and the command that is named."""

import contextlib
import json
import struct

import pytest

from simam_deploy.core.facts import FACTS
from simam_deploy.core.files import sha256_of
from simam_deploy.core.manifest import manifest_path
from simam_deploy.core.specs import ShapeRange
from simam_deploy.engine.build.build import build_engine
from simam_deploy.engine.plan.manifest import artifact_of
from simam_deploy.engine.plan.preflight import check_plan, flavour_of
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import EngineError
from simam_deploy.runtime.gpu import Gpu
from tests.core.wrong import WRONG
from tests.engine.conftest import write_onnx

PROFILE = (ShapeRange("x", (1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 8, 8)),)
HERE = Gpu("Fake GPU", "sm89", 1 << 34)
REBUILD = (
    r"\. To rebuild: simam-build m\.onnx -o m\.engine --backend tensorrt --min-shapes x:1x4x8x8 "
    r"--opt-shapes x:2x4x8x8 --max-shapes x:4x4x8x8 --plugin never$"
)


@pytest.fixture
def plan(gpu, tmp_path):
    """A plan of the fake library, built on the fake GPU."""
    return built(tmp_path)


def built(folder, **options):
    onnx = write_onnx(folder / "m.onnx")
    request = BuildRequest(onnx, folder / "m.engine", "tensorrt", profiles=(PROFILE,), **options)
    return build_engine(request).path


def check(plan, gpu=HERE, plugin=None):
    return check_plan(plan, gpu, lambda flavour: plugin)


def edit(plan, **changes):
    document = json.loads(manifest_path(plan).read_text())
    manifest_path(plan).write_text(json.dumps({**document, **changes}))


def test_a_plan_that_fits(plan):
    document = check(plan)
    assert document["gpu"] == {"name": "Fake GPU", "sm": "sm89"}
    assert document["targets"] == ["current"]


def test_a_truncated_plan(plan):
    plan.write_bytes(plan.read_bytes()[:100])
    with pytest.raises(EngineError, match=r"m\.engine is truncated: 100 bytes, \d+ were"):
        check(plan)


def test_a_plan_that_is_another(plan):
    content = plan.read_bytes()
    plan.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        EngineError, match=r"not the file that its manifest describes .*: its sha256"
    ):
        check(plan)


def test_a_plan_of_another_version(plan):
    edit(plan, version="10.4.0")
    with pytest.raises(EngineError, match=r"was built by TensorRT 10\.4\.0, 11\.4.* is installed"):
        check(plan)


def test_the_command_that_rebuilds_it_is_named(plan):
    edit(plan, version="10.4.0")
    with pytest.raises(EngineError, match=REBUILD):
        check(plan)


@pytest.mark.parametrize(
    ("targets", "sm", "fits"),
    [
        (["current"], "sm89", True),
        (["current"], "sm86", False),
        (["ampere+"], "sm90", True),
        (["ampere+"], "sm75", False),
        (["sm80", "sm86"], "sm86", True),
        (["sm80", "sm86"], "sm89", False),
        (["default"], "sm90", True),
    ],
)
def test_a_plan_of_another_architecture(targets, sm, fits, plan):
    edit(plan, targets=targets)
    there = Gpu("Other GPU", sm, 1)
    if fits:
        check(plan, there)
    else:
        with pytest.raises(EngineError, match=rf"was built for .*; this is a Other GPU \({sm}\)"):
            check(plan, there)


def test_a_plugin_that_has_changed(gpu, tmp_path):
    plugin = tmp_path / "libsimam.so"
    plugin.write_bytes(b"plugin")
    plan = built(tmp_path, plugin=plugin)
    assert check(plan, plugin=plugin)["plugin"]["sha256"] == sha256_of(plugin)
    check(plan)  # the plan carries its own
    plugin.write_bytes(b"another")
    with pytest.raises(EngineError, match=r"was built with plugin libsimam\.so "):
        check(plan, plugin=plugin)


def test_no_library_answers_for_kernels(plan, tmp_path):
    edit(plan, plugin={"file": "simam_aot.ptx", "sha256": "0" * 64})
    library = tmp_path / "libsimam.so"
    library.write_bytes(b"plugin")
    assert check(plan, plugin=library)["plugin"]["file"] == "simam_aot.ptx"


def test_without_a_manifest(plan):
    manifest_path(plan).unlink()
    with pytest.raises(EngineError, match=r"has no manifest m\.engine\.json.*or trust it"):
        check(plan)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "holds no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "it has no 'schema'"),
        ('{"schema": 1}', "it has no 'kind'"),
    ],
)
def test_a_damaged_manifest(content, says, plan):
    manifest_path(plan).write_text(content)
    with pytest.raises(EngineError, match=says):
        check(plan)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "onnx"},
        {"schema": 2},
        {"files": []},
        {"files": [{"size": "big"}]},
        {"files": {}},
        {"flavour": ["tensorrt"]},
        {"flavour": "other"},
        {"targets": None},
        {"plugin": "libsimam.so"},
    ],
    ids=str,
)
def test_a_manifest_that_makes_no_sense(changes, plan, tmp_path):
    edit(plan, **changes)
    with pytest.raises(EngineError):
        check(plan, plugin=plan)


def test_the_manifest_of_an_onnx_file(plan):
    """`m.json` belongs to m.onnx: the plan's has a name of its own."""
    assert manifest_path(plan).name == "m.engine.json"
    edit(plan, kind="onnx")
    with pytest.raises(EngineError, match="is of a 'onnx'"):
        check(plan)


def test_no_such_plan(tmp_path):
    with pytest.raises(EngineError, match="no such file"):
        check(tmp_path / "m.engine")


@pytest.mark.parametrize(
    ("content", "name"), [(b"ftrt....", "tensorrt"), (b"vtrt....", "tensorrt_rtx")]
)
def test_a_trusted_plan_tells_its_library(content, name, tmp_path):
    (tmp_path / "m.engine").write_bytes(content)
    assert flavour_of(tmp_path / "m.engine").name == name


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", struct.pack("<q", 100) + b'{"a":1}'])
def test_what_is_no_plan(content, tmp_path):
    """The last has a length and JSON in front of the plan, as some exporters write it."""
    (tmp_path / "m.engine").write_bytes(content)
    with pytest.raises(EngineError, match="is no TensorRT plan"):
        flavour_of(tmp_path / "m.engine")


@pytest.mark.parametrize("key", FACTS)
def test_no_fact_is_a_traceback(key, plan, tmp_path):
    plugin = tmp_path / "libsimam.so"
    plugin.write_bytes(b"plugin")
    whole = json.loads(manifest_path(plan).read_text())
    for value in WRONG:
        edit(plan, **{key: value})
        with contextlib.suppress(EngineError):
            document = check(plan, plugin=plugin)
            artifact_of(plan, document, cached=False, seconds=0).to_json()
        edit(plan, **whole)

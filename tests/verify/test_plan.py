"""Validation and the break-even test of the plugin, where there is a GPU to run the plan."""

import pytest

from simam_deploy.engine.options import EngineOptions
from simam_deploy.errors import UsageError, ValidationError
from simam_deploy.pipeline.build import build
from simam_deploy.verify.cases import KINDS
from tests.engine.conftest import write_onnx


@pytest.fixture
def plugin(tmp_path, fakes):
    """A library that the fake TensorRT takes for one."""
    path = tmp_path / "libsimam.so"
    path.write_bytes(b"plugin")
    return path


def full(source, output, **options):
    return build(source, output, EngineOptions(backend="tensorrt", **options))


def test_a_plan_that_computes_what_its_graph_does(gpu, tmp_path):
    """The fake's engines compute 2 x."""
    onnx = write_onnx(tmp_path / "m.onnx", "y = Add(x, x)")
    facts = full(onnx, tmp_path / "m.engine").validation
    assert facts["passed"] is True
    assert facts["max_rel"] == 0
    assert facts["cases"] == 2  # batches 1 and 8, all kinds of inputs among their rows
    assert "TensorRT 11.4" in facts["candidate"]


def test_a_plan_that_does_not_is_not_written(gpu, tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx", "y = Relu(x)")
    with pytest.raises(ValidationError, match=r"m\.engine was not written: output y of case"):
        full(onnx, tmp_path / "m.engine")
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def write_int8(path, factor=2):
    """y = factor * x on a grid of 127 steps up to 4: the fake's 2 x, but for half a step."""
    import onnx

    weights = ",".join(str(127 if i % 5 == 0 else 0) for i in range(16))
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,4,8,8] x) => (float[n,4,8,8] y)
        <int8[4,4,1,1] w = {{{weights}}}, float s = {{{4 / 127}}}, int8 z = {{0}},
         float[4] t = {{{",".join([str(factor / 127)] * 4)}}}, int8[4] o = {{0, 0, 0, 0}},
         float low = {{-4}}, float high = {{4}}>
        {{ c = Clip(x, low, high) a = QuantizeLinear(c, s, z) b = DequantizeLinear(a, s, z)
           d = DequantizeLinear<axis = 0>(w, t, o) y = Conv(b, d) }}"""
    )
    path.write_bytes(model.SerializeToString())
    return path


PROFILE = {"opt_shapes": ({"x": (2, 4, 8, 8)},)}


def test_an_int8_plan_is_judged_too(gpu, tmp_path, monkeypatch):
    """The fake clips no large input: those are left out here."""
    monkeypatch.delitem(KINDS, "large")
    artifact = full(write_int8(tmp_path / "m.onnx"), tmp_path / "m.engine", **PROFILE)
    facts = artifact.validation
    assert (artifact.precision, facts["precision"], facts["passed"]) == ("int8", "int8", True)
    assert 0 < facts["max_rel"] <= 2**-6


def test_an_int8_plan_that_computes_something_else_is_not_written(gpu, tmp_path, monkeypatch):
    monkeypatch.delitem(KINDS, "large")
    onnx = write_int8(tmp_path / "m.onnx", factor=2.1)
    with pytest.raises(ValidationError, match=r"m\.engine was not written: output y of case"):
        full(onnx, tmp_path / "m.engine", **PROFILE)


def test_a_bfloat16_graph_is_a_reference_although_the_cpu_cannot_run_it(gpu, tmp_path):
    """Its rounding is written out, as for any candidate."""
    import onnx

    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 22]>
        g (float[2,4,8,8] x) => (float[2,4,8,8] y)
        { h = Cast<to = 16>(x) d = Add(h, h) y = Cast<to = 1>(d) }"""
    )
    onnx.save(model, tmp_path / "m.onnx")
    facts = full(tmp_path / "m.onnx", tmp_path / "m.engine").validation
    assert (facts["precision"], facts["passed"]) == ("bf16", True)
    assert 0 < facts["max_rel"] <= 2**-8


def test_a_plan_for_another_gpu_is_not_run(gpu, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is missing")
    onnx = write_onnx(tmp_path / "m.onnx")
    options = EngineOptions(backend="rtx", targets=("sm80",))
    facts = build(onnx, tmp_path / "m.engine", options).validation
    assert facts == {"passed": None, "reason": "not run: it is built for sm80, this GPU is sm89"}


def test_the_precision_that_was_built_is_the_inspectors(gpu, tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx", "y = Add(x, x)")
    audit = full(onnx, tmp_path / "m.engine").audit
    assert audit.source == "the engine inspector"
    assert audit.built == {"fp32": 1}
    assert audit.launches == 1


SIMAM = """m = ReduceMean<axes = [2, 3]>(x) d = Sub(x, m) e = Mul(d, d)
    s = ReduceSum(e, axes) v = Div(s, n63) l = Add(v, lam) q = Mul(l, four)
    f = Div(e, q) g = Add(f, half) a = Sigmoid(g) y = Mul(x, a)"""
"""The fake does not compute this; validation is left out of these tests."""


@pytest.fixture(params=[18])
def simam(tmp_path, request):
    import onnx

    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {request.param}]>
        g (float[n,4,8,8] x) => (float[n,4,8,8] y)
        <int64[2] axes = {{2, 3}}, float n63 = {{63}}, float lam = {{0.1}}, float four = {{4}},
         float half = {{0.5}}>
        {{ {SIMAM if request.param < 18 else SIMAM.replace("<axes = [2, 3]>(x)", "(x, axes)")} }}"""
    )
    path = tmp_path / "s.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def unproved(monkeypatch):
    from simam_deploy.pipeline import build as steps

    facts = {"passed": None, "reason": "left out by the test"}
    monkeypatch.setattr(steps, "prove", lambda *args: facts)


@pytest.mark.usefixtures("unproved")
def test_a_plugin_that_is_named_is_in_the_plan(gpu, simam, plugin, tmp_path):
    artifact = full(simam, tmp_path / "m.engine", plugin=str(plugin))
    assert artifact.plugin == "libsimam.so"
    assert artifact.lowering == "plugin"
    assert artifact.audit.plugins == 1


@pytest.mark.usefixtures("unproved")
@pytest.mark.parametrize("faster", [True, False])
def test_whichever_is_faster_is_kept(faster, gpu, simam, plugin, tmp_path, monkeypatch):
    from simam_deploy.engine.run import choose
    from simam_deploy.pipeline import job

    monkeypatch.setattr(job, "find_plugin", lambda flavour: plugin)
    times = {"plugin": 1.0 if faster else 3.0, "wide": 2.5, "portable": 2.0}
    monkeypatch.setattr(choose, "_milliseconds", lambda artifact: times[artifact.lowering])
    artifact = full(simam, tmp_path / "m.engine")
    assert (artifact.plugin is not None) == faster
    assert artifact.lowering == ("plugin" if faster else "portable")
    figures = f"wide 2.500 ms, portable 2.000 ms, plugin {times['plugin']:.3f} ms"
    assert f"{artifact.lowering} kept: {figures}" in artifact.notes
    assert {each["lowering"]: each["milliseconds"] for each in artifact.candidates} == times
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "libsimam.so", "m.engine", "m.engine.json", "m.engine.log", "s.onnx",
    ]  # fmt: skip


@pytest.mark.usefixtures("unproved")
def test_without_a_gpu_fewer_launches_are_better(fakes, simam, plugin, tmp_path, monkeypatch):
    """The fake without a device tells of no launches, and the plugin would have to show some."""
    from simam_deploy.pipeline import job

    monkeypatch.setattr(job, "find_plugin", lambda flavour: plugin)
    artifact = full(simam, tmp_path / "m.engine")
    assert artifact.plugin is None
    (note,) = artifact.notes
    unknown = ", ".join(f"{name} unknown launches" for name in ("wide", "portable", "plugin"))
    assert note == f"wide kept: {unknown}; no GPU to time them"


@pytest.mark.usefixtures("unproved")
def test_a_plugin_that_does_not_build_is_left_out(gpu, simam, plugin, tmp_path, monkeypatch):
    from simam_deploy.pipeline import job

    plugin.write_bytes(b"of another version")
    monkeypatch.setattr(job, "find_plugin", lambda flavour: plugin)
    artifact = full(simam, tmp_path / "m.engine")
    assert artifact.plugin is None
    assert "not as plugin, which cannot be built: plugin " in artifact.notes[-1]


@pytest.mark.usefixtures("unproved")
@pytest.mark.parametrize("simam", [17], indirect=True)
def test_an_opset_too_old_for_the_plugin(gpu, simam, plugin, tmp_path, monkeypatch):
    from simam_deploy.pipeline import job

    monkeypatch.setattr(job, "find_plugin", lambda flavour: plugin)
    artifact = full(simam, tmp_path / "m.engine")
    assert artifact.plugin is None
    assert artifact.lowering in ("wide", "portable")
    assert "opset 18 or newer" in artifact.notes[-1]
    with pytest.raises(UsageError, match="opset 18 or newer"):
        full(simam, tmp_path / "m.engine", plugin=str(plugin))

"""A plan against its original, on a TensorRT that doubles its input in host memory."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

from simam_deploy import ComparisonOptions, SampleOptions
from simam_deploy.cli.validate import main
from simam_deploy.core.manifest import manifest_path
from simam_deploy.core.specs import ShapeRange
from simam_deploy.engine.build.build import build_engine
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import EngineError, UsageError, ValidationError
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.report.validate_text import validate_table
from simam_deploy.runtime.gpu import find_gpus
from simam_deploy.runtime.onnx_runner import OnnxRunner
from tests.report.reports import report as made_up

PROFILE = (ShapeRange("x", (2, 4, 8, 8), (4, 4, 8, 8), (6, 4, 8, 8)),)
GATE = 1 / (1 + np.exp(-0.5))


def write_simam(path, factor=2.0, classes=256):
    """SimAM whose lambda leaves its gate at 0.6225, then `factor` / 0.6225: y = factor * x.

    Less than 256 `classes` leave that many values of each row.
    """
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,4,8,8] x) => (float[n,{classes}] y)
        <int64[2] axes = {{2, 3}}, float n63 = {{63}}, float lam = {{1e30}}, float four = {{4}},
         float half = {{0.5}}, float k = {{{factor / GATE}}},
         int64[1] from = {{0}}, int64[1] to = {{{classes}}}, int64[1] axis = {{1}}>
        {{ m = ReduceMean(x, axes) d = Sub(x, m) e = Mul(d, d)
           s = ReduceSum(e, axes) v = Div(s, n63) l = Add(v, lam) q = Mul(l, four)
           f = Div(e, q) g = Add(f, half) a = Sigmoid(g) z = Mul(x, a)
           r = Mul(z, k) t = Flatten(r) y = Slice(t, from, to, axis) }}"""
    )
    onnx.save(proto, path)
    return path


@pytest.fixture
def original(tmp_path):
    return write_simam(tmp_path / "m.onnx")


def planned(onnx_file, **options):
    plan = onnx_file.with_name("m.engine")
    request = BuildRequest(onnx_file, plan, "tensorrt", profiles=(PROFILE,), **options)
    return build_engine(request).path


@pytest.fixture
def plan(gpu, original):
    return planned(original)


def restate(plan, **changes):
    document = json.loads(manifest_path(plan).read_text())
    manifest_path(plan).write_text(json.dumps({**document, **changes}))


def test_a_right_plan_passes_by_its_outputs(original, plan, gpu):
    report = validate_models(original, plan)
    assert report.passed, report.failures
    assert (report.candidate.precision, report.gates, report.layers) == ("fp32", (), ())
    assert report.candidate.runner == "TensorRT 11.4.0.106 (m.engine)"
    assert report.validation.worst.max_rel < 1e-6
    assert [n for n in report.notes if "does not show its SimAM gates" in n]
    table = validate_table(report)
    assert "0 of 0" not in table
    assert "SimAM gates: none" not in table
    assert report.to_json()["gates_shown"] is False
    assert (gpu.memory, gpu.graphs, gpu.streams) == ({}, set(), {})


def test_it_is_held_at_the_shapes_that_it_was_built_for(original, plan):
    """Batches 1 and 8, that others are held at, are outside of its profile."""
    cases = {result.case for result in validate_models(original, plan).validation.results}
    assert {case.rpartition(" ")[2] for case in cases} == {"2x4x8x8", "4x4x8x8"}


@pytest.mark.parametrize("factor", [2.0001, -2.0, 1.0])
def test_a_wrong_plan_fails(factor, plan, tmp_path):
    report = validate_models(write_simam(tmp_path / "other.onnx", factor), plan)
    (failure,) = report.failures
    assert "output y of case" in failure


@pytest.mark.parametrize(
    ("precision", "passes"),
    [("fp32", False), ("fp16", True), ("bf16", True), ("int8", True), ("fp8", True)],
)
def test_it_is_judged_by_its_precision(precision, passes, plan, tmp_path):
    """Off by 1e-3, which a half may be and float32 may not."""
    restate(plan, precision=precision)
    report = validate_models(write_simam(tmp_path / "other.onnx", 2.002), plan)
    assert report.passed == passes
    assert report.validation.precision == precision
    rule = report.validation.rule
    assert ("rounding every layer" in rule) == (precision in ("fp16", "bf16"))


def test_a_precision_that_has_no_bounds(original, plan):
    restate(plan, precision="fp4")
    with pytest.raises(
        EngineError, match=r"m\.engine is fp4: only fp32, fp16, bf16, int8, fp8 can"
    ):
        validate_models(original, plan)


def test_without_a_manifest_it_wants_trust_and_is_judged_as_float32(original, plan, capsys):
    manifest_path(plan).unlink()
    with pytest.raises(EngineError, match="or trust it"):
        validate_models(original, plan)
    assert main([str(original), str(plan), "-q", "--trust-engine", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["candidate"]["precision"] == "fp32"
    assert [n for n in document["notes"] if "no manifest states" in n]


def test_classes_are_compared_on_data(gpu, tmp_path):
    original = write_simam(tmp_path / "m.onnx", classes=10)
    plan = planned(original)
    images = np.random.default_rng(0).standard_normal((8, 4, 8, 8)).astype(np.float32)
    labels = images.reshape(8, -1)[:, :10].argmax(1)
    np.savez(tmp_path / "d.npz", images=images, labels=labels)
    data = SampleOptions(tmp_path / "d.npz")
    found = validate_models(original, plan, samples=data).accuracy
    assert (found.samples, found.agreement, found.candidate.top1) == (8, 1.0, 1.0)
    report = validate_models(write_simam(tmp_path / "o.onnx", -2.0, 10), plan, samples=data)
    assert report.accuracy.agreement < 0.5
    assert "agreement" in report.failures[-1]


def test_bisect_and_plot_are_refused(original, tmp_path, capsys):
    plan = str(tmp_path / "m.engine")
    with pytest.raises(UsageError, match=r"nodes of an \.onnx"):
        validate_models(original, plan, options=ComparisonOptions(find_hazards=True))
    for options in (["--bisect"], ["--plot", str(tmp_path / "p.html")]):
        assert main([str(original), plan, *options, "-q"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_only_what_shows_no_gates_passes_without_any():
    without = made_up()
    assert without.failures == ("no SimAM gate was checked",)
    assert replace(without, gates_shown=False).failures == ()


def test_a_plan_that_does_not_take_the_originals_size(gpu, tmp_path, original):
    plan = planned(original)
    proto = onnx.load(original)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(proto, tmp_path / "one.onnx")
    with OnnxRunner(tmp_path / "one.onnx") as runner:
        assert runner.inputs[0].shape[0] == 1
    with pytest.raises(ValidationError, match="x 1x4x8x8 is outside of what the engine was built"):
        validate_models(tmp_path / "one.onnx", plan)


def test_without_a_gpu_is_one_line(original, tmp_path, capsys):
    if find_gpus().devices:
        pytest.skip("there is a GPU here")
    (tmp_path / "m.engine").write_bytes(b"ftrt")
    assert main([str(original), str(tmp_path / "m.engine"), "-q"]) == 1
    said = capsys.readouterr().err
    assert "a TensorRT engine runs on an NVIDIA GPU alone: " in said
    assert said.count("\n") == 1

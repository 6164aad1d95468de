"""`--precision auto`: what is tried, what is not taken and why, and what the manifest says."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from simam_deploy import EngineOptions, NetworkOptions, OnnxOptions, UsageError, build, export_onnx
from simam_deploy.engine.run.choose import Figures
from simam_deploy.pipeline.auto import _asked, _unfit, _verdict
from simam_deploy.pipeline.job import decide
from train_digits import split

EVERY = ["fp16 all", "int8 pays", "int8 all", "fp8 pays", "fp8 all"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    np.save(folder / "train.npy", split()[0].numpy()[::60])
    return folder / "train.npy"


@pytest.mark.parametrize(
    ("targets", "tried"), [((), EVERY), (("sm89", "sm120"), EVERY), (("sm86", "sm89"), EVERY[:3])]
)
def test_fp8_is_tried_where_every_gpu_has_it(targets, tried):
    asked = EngineOptions(precision="auto", targets=targets, calibration_data="x")
    assert [" ".join(each) for each in _asked(asked)] == tried


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "auto wants samples"),
        ({"calibration_data": "x", "quantize": "pays"}, "a choice of layers is for int8 and fp8"),
    ],
)
def test_what_does_not_go_with_it(options, says, digits_onnx, tmp_path):
    with pytest.raises(UsageError, match=says):
        build(digits_onnx, tmp_path / "m.engine", EngineOptions(precision="auto", **options))


def test_an_export_has_no_plan_to_tell_by(digits_onnx, samples, tmp_path):
    asked = OnnxOptions(precision="auto", calibration_data=samples)
    with pytest.raises(UsageError, match="auto is for engines"):
        export_onnx(digits_onnx, tmp_path / "m.onnx", asked)


def test_what_is_half_already_has_no_choice(tmp_path):
    pytest.importorskip(
        "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
    )
    half = """<ir_version: 8, opset_import: ["" : 18]>
        g (float16[1,4,8,8] x) => (float16[1,4,8,8] y) { y = Relu(x) }"""
    onnx.save(onnx.parser.parse_model(half), tmp_path / "half.onnx")
    asked = EngineOptions(precision="auto", calibration_data="x", backend="rtx", cache=False)
    with pytest.raises(UsageError, match=r"half\.onnx is fp16: auto chooses among what float32"):
        build(tmp_path / "half.onnx", tmp_path / "m.engine", asked)
    assert [p.name for p in tmp_path.iterdir()] == ["half.onnx"]


@pytest.fixture
def job(digits_onnx, samples, tmp_path):
    pytest.importorskip(
        "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
    )
    asked = EngineOptions(
        precision="int8", calibration_data=samples, targets=("sm89",), backend="rtx", cache=False
    )
    return decide(digits_onnx, tmp_path / "m.engine", asked, NetworkOptions(), lambda step: None)


def test_a_conversion_that_classifies_otherwise_is_not_taken(job, tmp_path):
    """The scores of two classes are swapped, in a file that says nothing of its proof."""
    model = onnx.load(job.source)
    del model.metadata_props[:]
    bias = next(each for each in model.graph.initializer if list(each.dims) == [10])
    weight = next(each for each in model.graph.initializer if list(each.dims)[:1] == [10])
    order = [1, 0, *range(2, 10)]
    for each in (bias, weight):
        each.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each)[order], each.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    assert _unfit(job, job.source) == ""
    assert "it agrees with float32 on" in _unfit(job, tmp_path / "wrong.onnx")


def test_one_that_is_not_proved_is_not_taken(job, tmp_path):
    model = onnx.load(job.source)
    stated = next(each for each in model.metadata_props if '"proved": true' in each.value)
    stated.value = stated.value.replace('"proved": true', '"proved": false')
    onnx.save(model, tmp_path / "unproved.onnx")
    assert "not proved" in _unfit(job, tmp_path / "unproved.onnx")


def figures(*launches, times=None):
    return [Figures("wide", n, 10**6 * n, times and times[i]) for i, n in enumerate(launches)]


def test_the_verdict_says_what_there_was_and_what_it_went_by():
    names = ["fp16", "int8 pays"]
    kept = _verdict(names, figures(36, 34), 1)
    assert kept == (
        "auto kept int8 pays: fp16 36 launches, 36.0 MB, int8 pays 34 launches, 34.0 MB; by "
        "launches, then size: there is no GPU to time them"
    )
    assert "fp16 36 launches, 36.0 MB, int8 pays 37 launches, 37.0 MB; neither int8 nor fp8" in (
        _verdict(names, figures(36, 37), 0)
    )
    timed = _verdict(names, figures(36, 34, times=(0.5, 0.7)), 0)
    assert timed == (
        "auto kept fp16: fp16 0.500 ms, int8 pays 0.700 ms; neither int8 nor fp8 is better"
    )


@pytest.mark.slow
def test_a_whole_build(digits, samples, tmp_path):
    pytest.importorskip(
        "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
    )
    asked = EngineOptions(
        precision="auto", calibration_data=samples, targets=("sm89",), backend="rtx", cache=False
    )
    artifact = build(digits, tmp_path / "d.engine", asked)
    document = json.loads(artifact.manifest_path.read_text())
    assert document["source"]["file"] == digits.name
    assert "--precision auto" in document["command"]
    found = {each["conversion"]: each["launches"] for each in document["candidates"]}
    assert found["int8 pays"] < found["fp16"] < found["int8 all"]
    (said,) = [note for note in document["notes"] if note.startswith("auto kept int8 pays: ")]
    assert f"fp16 {found['fp16']} launches" in said
    assert artifact.precision == "int8"
    assert artifact.audit.launches == found["int8 pays"]
    assert sum("not fp8" in note and "not proved" in note for note in document["notes"]) == 2
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".engine", ".json", ".log"]

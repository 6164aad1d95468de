"""A whole export of chosen layers, by name or because they pay: what it says; faults in it."""

import dataclasses
import importlib
import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy import OnnxOptions, ValidationError, export_onnx, validate_models
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.precision.int8 import pairs
from simam_deploy.precision.int8.asked import UNASKED, UNPAID
from simam_deploy.precision.int8.placement import place
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source.options import SampleOptions
from train_digits import split

QUANTISE = importlib.import_module("simam_deploy.precision.int8.quantise")
LAYERS = "layer2.*"
REASONS = {LAYERS: UNASKED, "pays": UNPAID}
COUNTS = {LAYERS: 7, "pays": 10}
"""Of 20 that can be int8."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    train, *_ = split()
    np.save(folder / "train.npy", train.numpy()[::60])
    return folder / "train.npy"


@pytest.fixture(scope="module")
def exported(digits_onnx, samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    return {
        asked: export(digits_onnx, samples, folder / f"{number}.onnx", asked)
        for number, asked in enumerate(REASONS)
    }


def export(source, samples, target, asked):
    onnx = OnnxOptions(precision="int8", calibration_data=samples, quantize=asked)
    return export_onnx(source, target, onnx)


def manifest_of(artifact):
    return json.loads(artifact.manifest_path.read_text())


def int8_weights(artifact):
    stored = onnx.load(artifact.path).graph.initializer
    return {each.name.removesuffix("/int8") for each in stored if each.name.endswith("/int8")}


@pytest.mark.parametrize("asked", REASONS)
def test_the_manifest_says_what_was_asked_for_and_what_was_left(asked, exported):
    document = manifest_of(exported[asked])
    calibration = document["calibration"]
    assert document["quantize"] == asked
    assert len(calibration["quantised"]) == calibration["layers"] == COUNTS[asked]
    reasons = list(calibration["left_in_float32"].values())
    assert reasons.count(REASONS[asked]) >= 20 - COUNTS[asked]
    said = f"{COUNTS[asked]} of 22 layers in int8; in float32"
    assert any(
        note.startswith(said) and f"{20 - COUNTS[asked]} ({REASONS[asked]})" in note
        for note in document["notes"]
    )
    assert not set(calibration["quantised"]) & calibration["left_in_float32"].keys()


@pytest.mark.parametrize("asked", REASONS)
def test_only_those_layers_are_int8(asked, exported):
    stored = int8_weights(exported[asked])
    assert len(stored) == COUNTS[asked]
    assert asked == "pays" or all(name.startswith("layer2.") for name in stored)


@pytest.mark.parametrize("asked", REASONS)
def test_everything_is_proved_and_classified_alike(asked, exported, digits_onnx):
    report = exported[asked].validation
    assert report.passed
    assert len(report.gates) == 9
    assert any(result.case.startswith("int8, ") for result in report.results)
    _, images, *_ = split()
    labels = []
    for file in (digits_onnx, exported[asked].path):
        with OnnxRunner(file) as runner:
            labels.append(runner.run({"input": images.numpy()})["logits"].argmax(1))
    assert np.mean(labels[0] == labels[1]) > 0.99


def test_what_tensorrt_insists_on(exported):
    """Symmetric throughout; a scale for all weights where a convolution's kernel dequantises."""
    artifact = exported["pays"]
    graph = read_model(artifact.path).graph
    alone = manifest_of(artifact)["calibration"]["weights_by_tensor"]
    assert len(alone) == 8
    scales = {}
    for node in graph:
        if node.op_type.endswith("tizeLinear"):
            scale, zero = (value.const_value.numpy() for value in node.inputs[1:])
            assert np.all(scale > 0)
            assert scale.shape == zero.shape
            assert not zero.any()
            if node.inputs[0].is_initializer():
                (use,) = node.outputs[0].uses()
                scales[use.node.name] = scale.shape
    assert {name for name, shape in scales.items() if shape == ()} == set(alone)


@pytest.mark.parametrize("asked", [pytest.param(LAYERS, marks=pytest.mark.slow), "pays"])
def test_validation_judges_it_as_its_export_did(asked, exported, digits_onnx, samples):
    found = validate_models(digits_onnx, exported[asked].path, samples=SampleOptions(samples))
    assert found.validation.passed
    assert any(check.kind == "range" for check in found.validation.layers)


def coarser(graph: ir.Model):
    """Round the weights of a layer that has one scale to 63 steps instead of 127."""
    node = next(n for n in graph.graph if is_alone(n))
    weight, scale, _ = node.inputs
    steps = np.rint(weight.const_value.numpy() / 2).astype(np.int8)
    set_value(weight, steps)
    set_value(scale, scale.const_value.numpy() * np.float32(2))


def by_channel(graph: ir.Model):
    """Give the same weights a scale for each channel: exact, and a launch more."""
    node = next(n for n in graph.graph if is_alone(n))
    for value in node.inputs[1:]:
        channels = len(node.inputs[0].const_value.numpy())
        set_value(value, np.repeat(value.const_value.numpy(), channels))
    node.attributes["axis"] = ir.AttrInt64("axis", 0)


def is_alone(node):
    if node.op_type != "DequantizeLinear" or not node.inputs[0].is_initializer():
        return False
    return node.inputs[1].const_value.size == 1


def set_value(value, array):
    value.const_value = ir.tensor(array, name=value.name)
    value.shape = ir.Shape(array.shape)


@pytest.mark.parametrize(
    ("fault", "says"),
    [pytest.param(coarser, "tensor", marks=pytest.mark.slow), (by_channel, "scales, wanted 1")],
)
def test_a_fault_in_the_file_is_found(fault, says, exported, digits_onnx, samples, tmp_path):
    graph = read_model(exported["pays"].path)
    fault(graph)
    write_model(graph, tmp_path / "faulty.onnx")
    found = validate_models(digits_onnx, tmp_path / "faulty.onnx", samples=SampleOptions(samples))
    (failed,) = [check for check in found.validation.layers if not check.passed]
    assert says in f"{failed.kind} {failed.reason}"


def test_a_fault_of_the_conversion_leaves_no_file(digits_onnx, samples, tmp_path, monkeypatch):
    """Scales by channel where the choice says one for all: the outputs are only the better."""

    def forgetful(graph, placement, ranges):
        forgotten = dataclasses.replace(placement, by_tensor=frozenset())
        pairs.insert_pairs(graph, forgotten, ranges)

    monkeypatch.setattr(QUANTISE, "insert_pairs", forgetful)
    with pytest.raises(ValidationError, match="scales, wanted 1"):
        export(digits_onnx, samples, tmp_path / "m.onnx", "pays")
    assert [p.name for p in tmp_path.iterdir()] == ["m.failed.json"]


@pytest.mark.slow
def test_a_layer_too_many_leaves_no_file(digits_onnx, samples, tmp_path, monkeypatch):
    """A layer that was not asked for, in int8: none of its own figures is off."""
    judged = {}

    def greedy(graph, placement, ranges):
        (more, *_) = (n for n in graph if n.name in judged["left"] and n.op_type == "Conv")
        wider = dataclasses.replace(placement, layers=(*placement.layers, more))
        pairs.insert_pairs(graph, wider, ranges)

    def remembered(model, choice=None):
        judged["left"] = choice.left if choice else {}
        return place(model, choice)

    monkeypatch.setattr(QUANTISE, "insert_pairs", greedy)
    monkeypatch.setattr(QUANTISE, "place", remembered)
    with pytest.raises(ValidationError, match="should stay float32"):
        export(digits_onnx, samples, tmp_path / "m.onnx", LAYERS)
    assert [p.name for p in tmp_path.iterdir()] == ["m.failed.json"]


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["pays", "all"])
def test_fp8_by_the_same_way(asked, digits_onnx, samples, tmp_path):
    """As ONNX Runtime runs it for everybody, which leaves out a Relu where it stands as one."""
    onnx_options = OnnxOptions(precision="fp8", calibration_data=samples, quantize=asked)
    artifact = export_onnx(digits_onnx, tmp_path / "fp8.onnx", onnx_options)
    document = manifest_of(artifact)
    layers = {"pays": 10, "all": 20}[asked]
    assert (artifact.precision, artifact.opset, document["quantize"]) == ("fp8", 19, asked)
    assert any(n.startswith(f"{layers} of 22 layers in fp8") for n in document["notes"])
    assert artifact.validation.passed
    assert len(artifact.validation.gates) == 9
    _, images, *_ = split()
    logits = []
    for file in (digits_onnx, artifact.path):
        with OnnxRunner(file) as runner:
            logits.append(runner.run({"input": images.numpy()})["logits"])
    assert np.mean(logits[0].argmax(1) == logits[1].argmax(1)) > 0.98
    assert np.linalg.norm(logits[1] - logits[0]) < 0.06 * np.linalg.norm(logits[0])
    again = validate_models(digits_onnx, artifact.path, samples=SampleOptions(samples))
    assert again.passed
    assert any(check.kind == "range" for check in again.validation.layers)

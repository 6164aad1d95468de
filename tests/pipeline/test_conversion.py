"""The main job in lower precision: clean conversions pass, each planted fault fails."""

import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from simam_deploy import NETWORKS, InputError, OnnxOptions, UsageError, ValidationError, export_onnx
from simam_deploy.core.validation import ValidationReport
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.prepare import plain
from simam_deploy.graph.sites import check_sites
from simam_deploy.models.create import create
from simam_deploy.pipeline import half
from simam_deploy.pipeline.step import Step, record_source
from simam_deploy.precision.original import keep_original
from simam_deploy.precision.rounding import rounded
from simam_deploy.runtime.graph_runner import run_model
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions, SampleOptions
from simam_deploy.verify.candidate import open_candidate
from simam_deploy.verify.judge import judge
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.report import describe_failure
from tests.marks import slow
from train_digits import split


@pytest.fixture(scope="module")
def labelled():
    _, images, _, labels = split()
    return images.numpy(), labels.numpy()


@pytest.fixture(scope="module")
def float32(digits_onnx):
    return digits_onnx


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_digits_are_classified_alike(precision, digits, float32, labelled, tmp_path):
    images, labels = labelled
    artifact = export_onnx(digits, tmp_path / "half.onnx", onnx=OnnxOptions(precision=precision))
    with OnnxRunner(float32) as runner:
        expected = runner.run({"input": images})["logits"].argmax(1)
    # Every rounding written out, as a GPU would do it: ONNX Runtime's CPU provider hides it.
    (logits,) = run_model(rounded(plain(read_model(artifact.path))), {"input": images})
    agreement = float((logits.argmax(1) == expected).mean())
    assert agreement == 1.0 if precision == "fp16" else agreement >= 0.995
    assert float((logits.argmax(1) == labels).mean()) >= 0.99
    assert artifact.size <= 0.52 * float32.stat().st_size


def test_the_artifact_says_what_was_done(digits, tmp_path):
    artifact = export_onnx(digits, tmp_path / "m.onnx", onnx=OnnxOptions(precision="fp16"))
    assert artifact.precision == artifact.to_json()["precision"] == "fp16"
    manifest = json.loads(artifact.manifest_path.read_text())
    assert manifest["precision"] == "fp16"
    summary = manifest["validation"]
    assert summary["gates"]["count"] == 9
    assert summary["gates"]["failed"] == summary["layers"]["failed"] == 0
    assert summary["layers"]["count"] == 32
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.json", "m.onnx"]
    assert {artifact.inputs[0].dtype, artifact.outputs[0].dtype} == {"float32"}


@pytest.mark.parametrize("lowering", ["flat", "plugin", *slow(["function", "instancenorm"])])
def test_every_lowering_in_half_with_half_io(lowering, digits, tmp_path):
    artifact = export_onnx(
        digits,
        tmp_path,
        onnx=OnnxOptions(precision="fp16", lowering=lowering, keep_io=False),
        network=NetworkOptions(dynamic="batch"),
    )
    assert {artifact.inputs[0].dtype, artifact.outputs[0].dtype} == {"float16"}
    assert len(artifact.validation.gates) == 9
    onnx.checker.check_model(onnx.load(artifact.path), full_check=True)


@pytest.mark.slow
def test_bfloat16_takes_the_opset_that_defines_it(digits, tmp_path):
    assert export_onnx(digits, tmp_path / "a.onnx", onnx=OnnxOptions(precision="bf16")).opset == 22
    assert (
        export_onnx(digits, tmp_path / "b.onnx", onnx=OnnxOptions(precision="bf16", opset=23)).opset
        == 23
    )
    with pytest.raises(UsageError, match="take 22 or newer"):
        export_onnx(digits, tmp_path / "c.onnx", onnx=OnnxOptions(precision="bf16", opset=18))


def test_an_onnx_file_is_converted_once(float32, tmp_path):
    half = export_onnx(float32, tmp_path / "half.onnx", onnx=OnnxOptions(precision="fp16"))
    assert half.validation.passed
    for precision in ("bf16", "fp32"):
        with pytest.raises(InputError, match=f"half.onnx is fp16 already, and {precision} is made"):
            export_onnx(half.path, tmp_path / "again.onnx", onnx=OnnxOptions(precision=precision))


def test_digits_in_int8(digits, float32, labelled, tmp_path):
    """Calibrated on training images; the loss is on images it has not seen."""
    images, labels = labelled
    train, *_ = split()
    np.savez(tmp_path / "train.npz", images=train.numpy())
    started = time.process_time()
    artifact = export_onnx(
        digits,
        tmp_path / "int8.onnx",
        onnx=OnnxOptions(precision="int8", calibration_data=tmp_path / "train.npz"),
    )
    assert time.process_time() - started < 60
    accuracies = []
    for path in (float32, artifact.path):
        with OnnxRunner(path) as runner:
            logits = runner.run({"input": images})["logits"]
        accuracies.append(float((logits.argmax(1) == labels).mean()))
    assert accuracies[0] - accuracies[1] <= 0.005
    assert artifact.size < 0.3 * float32.stat().st_size
    ops = [n.op_type for n in onnx.load(artifact.path).graph.node]
    assert ops.count("QuantizeLinear") >= 20
    manifest = json.loads(artifact.manifest_path.read_text())
    assert manifest["precision"] == "int8"
    assert manifest["calibration"]["samples"] == 256
    assert manifest["validation"]["gates"]["failed"] == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "int8"}, "int8 wants samples"),
        ({"precision": "fp8"}, "fp8 wants samples"),
        ({"precision": "fp16", "calibration_data": "x"}, "for int8 and fp8 alone"),
        ({"precision": "fp16", "quantize": "layer1.*"}, "for int8 and fp8 alone"),
    ],
)
def test_calibration_goes_with_int8(options, says, digits, tmp_path):
    with pytest.raises(UsageError, match=says):
        export_onnx(digits, tmp_path / "m.onnx", OnnxOptions(**options))


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros((4, 3, 32, 32), np.float32), "constant"),
        (np.full((4, 3, 32, 32), np.nan, np.float32), "NaN"),
        (np.ones((4, 3, 16, 16), np.float32), "16"),
    ],
    ids=["constant", "NaN", "wrong size"],
)
def test_samples_that_will_not_do_leave_nothing(samples, says, digits, tmp_path):
    np.savez(tmp_path / "bad.npz", images=samples)
    with pytest.raises(InputError, match=says):
        export_onnx(
            digits,
            tmp_path / "m.onnx",
            onnx=OnnxOptions(precision="int8", calibration_data=tmp_path / "bad.npz"),
        )
    assert [p.name for p in tmp_path.iterdir()] == ["bad.npz"]


def test_an_empty_folder_has_no_samples(digits, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none"):
        export_onnx(
            digits,
            tmp_path / "m.onnx",
            onnx=OnnxOptions(precision="int8", calibration_data=tmp_path / "none"),
        )


def test_an_unknown_precision_is_a_usage_error(digits, tmp_path):
    with pytest.raises(UsageError, match="fp32, fp16, bf16, int8, fp8.*'fp4'"):
        export_onnx(digits, tmp_path / "m.onnx", onnx=OnnxOptions(precision="fp4"))


class Converted:
    """The digits network in float16 and all that is needed to judge a file of it."""

    def __init__(self, source: Path, folder: Path) -> None:
        subject = load_subject(source, NetworkOptions())
        self.reference = record_source(subject, "fp16", SampleOptions())
        traced = subject.graph().model
        self.sites = check_sites(traced)
        self.original = keep_original(traced, subject.opset, False, folder)
        self.file = folder / "half.onnx"
        step = Step("portable", "fp16", True, True, self.file, lambda step: None)
        half.convert_half(self.original, step)

    def judge(self, file: Path) -> ValidationReport:
        names = self.reference.inputs, self.reference.outputs
        pair = Pair(self.original, self.sites, open_candidate(file), *names)
        return judge(pair, self.reference.recording, "fp32", lambda step: None)


@pytest.fixture(scope="module")
def converted(digits, tmp_path_factory):
    return Converted(digits, tmp_path_factory.mktemp("converted"))


def test_the_file_as_converted_passes(converted):
    assert converted.judge(converted.file).passed


def initializer(proto: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(t for t in proto.graph.initializer if t.name == name)


def change(proto: onnx.ModelProto, name: str, array: np.ndarray) -> None:
    initializer(proto, name).CopyFrom(numpy_helper.from_array(array, name))


def weights(proto: onnx.ModelProto, op_type: str, index: int) -> str:
    nodes = [n for n in proto.graph.node if n.op_type == op_type]
    return nodes[index].input[1]


def zero_a_weight(proto: onnx.ModelProto) -> None:
    name = weights(proto, "Conv", 3)
    change(proto, name, np.zeros_like(numpy_helper.to_array(initializer(proto, name))))


def swap_two_channels(proto: onnx.ModelProto) -> None:
    name = weights(proto, "Conv", 3)
    array = numpy_helper.to_array(initializer(proto, name)).copy()
    array[[0, 1]] = array[[1, 0]]
    change(proto, name, array)


def lambda_tenfold(proto: onnx.ModelProto) -> None:
    """In the first site: lambda * r is what its variance is shifted by."""
    add = next(n for n in proto.graph.node if n.op_type == "Add" and "layer1.0" in n.name)
    name = next(i for i in add.input if i.startswith("const"))
    copy = onnx.TensorProto()
    copy.CopyFrom(initializer(proto, name))
    copy.name = f"{name}_wrong"
    copy.CopyFrom(numpy_helper.from_array(10 * numpy_helper.to_array(copy), copy.name))
    proto.graph.initializer.append(copy)
    add.input[list(add.input).index(name)] = copy.name


def island_in_half(proto: onnx.ModelProto) -> None:
    """The first site: its Cast to float32 gone, its numbers half."""
    site = [n for n in proto.graph.node if n.name.startswith("layer1.0.conv2.1/")]
    produced = {o for n in site for o in n.output}
    into = {i for n in site for i in n.input if i not in produced}
    casts = [n for n in proto.graph.node if n.op_type == "Cast" and n.output[0] in into]
    for node in site:
        for position, name in enumerate(node.input):
            for cast in casts:
                if name == cast.output[0]:
                    node.input[position] = cast.input[0]
            if name.startswith("const_float32"):
                half = numpy_helper.to_array(initializer(proto, name)).astype(np.float16)
                if not any(t.name == f"{name}_half" for t in proto.graph.initializer):
                    proto.graph.initializer.append(numpy_helper.from_array(half, f"{name}_half"))
                node.input[position] = f"{name}_half"
    del proto.graph.value_info[:]


def cast_dropped(proto: onnx.ModelProto) -> None:
    """The Cast back to half behind the first site."""
    y = next(n for n in reversed(proto.graph.node) if n.name.startswith("layer1.0.conv2.1/"))
    cast = next(n for n in proto.graph.node if n.op_type == "Cast" and n.input[0] == y.output[0])
    for node in proto.graph.node:
        for position, name in enumerate(node.input):
            if name == cast.output[0]:
                node.input[position] = y.output[0]
    proto.graph.node.remove(cast)
    del proto.graph.value_info[:]


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        (zero_a_weight, "layer layer1_1_conv1 is off by"),
        (swap_two_channels, "layer layer1_1_conv1 is off by"),
        (lambda_tenfold, "gate of SimAM layer1.0.conv2.1: lambda is 0.001"),
        (island_in_half, "gate of SimAM layer1.0.conv2.1 is off by"),
    ],
)
def test_a_planted_fault_fails_and_is_placed(fault, place, converted, tmp_path):
    proto = onnx.load(converted.file)
    fault(proto)
    onnx.save(proto, tmp_path / "wrong.onnx")
    report = converted.judge(tmp_path / "wrong.onnx")
    assert not report.passed
    assert place in describe_failure(report)


def test_a_dropped_cast_is_no_valid_graph(converted, tmp_path):
    proto = onnx.load(converted.file)
    cast_dropped(proto)
    onnx.save(proto, tmp_path / "wrong.onnx")
    with pytest.raises(ValidationError):
        converted.judge(tmp_path / "wrong.onnx")


def test_a_failed_conversion_leaves_a_report_and_no_file(digits, tmp_path, monkeypatch):
    whole = half.to_half

    def forgetful(graph, dtype, keep_io, simam_half):
        halved = whole(graph, dtype, keep_io, simam_half=simam_half)
        node = next(n for n in graph.graph if n.op_type == "SimAM")
        wrong = 10 * node.attributes["e_lambda"].as_float()
        node.attributes["e_lambda"] = type(node.attributes["e_lambda"])(
            "e_lambda", node.attributes["e_lambda"].type, wrong
        )
        return halved

    monkeypatch.setattr(half, "to_half", forgetful)
    with pytest.raises(ValidationError, match=r"m\.onnx was not written: the gate of SimAM layer1"):
        export_onnx(digits, tmp_path / "m.onnx", onnx=OnnxOptions(precision="fp16"))
    assert [p.name for p in tmp_path.iterdir()] == ["m.failed.json"]
    report = json.loads((tmp_path / "m.failed.json").read_text())
    assert report["passed"] is False
    assert [gate["passed"] for gate in report["gates"]].count(False) == 1


SMALL = {"cifar": (1, 3, 32, 32), "wespeaker": (1, 64, 80), "": (1, 3, 64, 64)}
QUICK = ("resnet18", "cifar_resnet20")
OTHERS = [
    "cifar_mobilenetv2", "wespeaker_simam_resnet34_asp",
    "cifar_preresnet20", "cifar_preresnet56", "cifar_preresnet110", "cifar_preresnet164",
    "cifar_resnet32", "cifar_resnet56", "cifar_resnet110", "cifar_resnet164",
    "cifar_wideresnet28x10", "resnet34", "resnet50", "resnet50d", "resnet101", "resnext50_32x4d",
    "mobilenet_v2", "resnet18_backbone", "resnet50_backbone",
]  # fmt: skip


def lively(name: str, shape: tuple[int, ...]) -> torch.nn.Module:
    """Drawn weights whose batch norms have seen data, as a trained network's: maps around 1."""
    torch.manual_seed(0)
    network = create(NETWORKS[name]).train()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(4, *shape[1:]))
    return network.eval()


@pytest.mark.parametrize("name", [*QUICK, *slow(OTHERS)])
@pytest.mark.parametrize("precision", ["fp16", *slow(["bf16"])])
def test_clean_conversions_pass(name, precision, tmp_path):
    shape = next(shape for kind, shape in SMALL.items() if name.startswith(kind))
    torch.save(lively(name, shape).state_dict(), tmp_path / "m.pth")
    artifact = export_onnx(
        tmp_path / "m.pth",
        onnx=OnnxOptions(precision=precision),
        network=NetworkOptions(arch=name, input_shape=shape),
    )
    assert artifact.validation.passed
    assert artifact.validation.gates
    assert artifact.validation.layers

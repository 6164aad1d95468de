"""The main job through the Python API, on the trained digits network and on the golden ones."""

import json

import numpy as np
import onnx
import pytest
import torch

import simam_deploy
from simam_deploy import (
    CheckpointError,
    NetworkOptions,
    OnnxOptions,
    UsageError,
    ValidationError,
    export_onnx,
)
from simam_deploy.core.files import sha256_of
from simam_deploy.graph.lower import WITH_FUNCTIONS, expand, mean
from simam_deploy.models.create import create
from simam_deploy.runtime.onnx_runner import OnnxRunner
from tests.marks import slow
from train_digits import accuracy, split

SIMAM_OPS = {"ReduceMean", "Sub", "Pow", "Div", "Sigmoid", "Mul", "Add"}


@pytest.fixture(scope="module")
def exported(digits, tmp_path_factory):
    return export_onnx(digits, tmp_path_factory.mktemp("digits") / "digits.onnx")


def test_accuracy_is_the_same_before_and_after(digits, exported):
    _, images, _, labels = split()
    model = create(simam_deploy.NETWORKS["cifar_preresnet20"], 1e-4, num_outputs=10)
    model.load_state_dict(torch.load(digits, weights_only=True)["state_dict"])
    with OnnxRunner(exported.path) as runner:
        logits = runner.run({"input": images.numpy()})["logits"]
    reached = float((logits.argmax(1) == labels.numpy()).mean())
    assert len(images) == 360
    assert reached == accuracy(model, images, labels) >= 0.97
    with torch.inference_mode():
        np.testing.assert_array_equal(logits.argmax(1), model(images).argmax(1).numpy())


def test_the_artifact_states_what_was_found(exported):
    assert exported.arch == "cifar_preresnet20"
    assert exported.e_lambda == 1e-4
    assert [site.name for site in exported.sites][:2] == ["layer1.0.conv2.1", "layer1.1.conv2.1"]
    assert exported.sites[0].shape == ("batch", 16, 32, 32)
    assert exported.inputs[0].shape == ("batch", 3, 32, 32)
    assert exported.validation.passed
    assert exported.validation.summary()["max_rel"] < 1e-5


def test_the_graph_is_clean(exported):
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 18
    assert len(model.opset_import) == 1
    for site in exported.sites:
        nodes = [n.op_type for n in model.graph.node if n.name.startswith(f"{site.name}/")]
        assert len(nodes) == 12
        assert set(nodes) == SIMAM_OPS
    others = {n.op_type for n in model.graph.node} - SIMAM_OPS
    assert others == {"Conv", "Relu", "BatchNormalization", "Gemm"}


def test_no_trace_of_the_machine_is_in_the_file(exported):
    content = exported.path.read_bytes()
    assert b"stack_trace" not in content
    assert b".py" not in content


def test_manifest_and_metadata_say_the_same(digits, exported):
    manifest = json.loads(exported.manifest_path.read_text())
    assert manifest["files"] == [
        {
            "name": "digits.onnx",
            "size": exported.path.stat().st_size,
            "sha256": sha256_of(exported.path),
        }
    ]
    assert manifest["source"]["sha256"] == sha256_of(digits)
    metadata = {p.key: p.value for p in onnx.load(exported.path).metadata_props}
    assert set(metadata) == {f"simam.{k}" for k in manifest} - {
        "simam.schema",
        "simam.kind",
        "simam.files",
    }
    assert metadata["simam.arch"] == manifest["arch"]
    assert json.loads(metadata["simam.validation"]) == manifest["validation"]


def test_the_same_input_gives_the_same_bytes(digits, exported, traced_anew, tmp_path):
    assert export_onnx(digits, tmp_path).path.read_bytes() == exported.path.read_bytes()


@pytest.mark.parametrize(
    "bug",
    [
        (mean, "SPATIAL", (2,)),
        (expand, "_ratio", lambda tape, node, sizes: 1.0),
        (expand, "e_lambda_of", lambda node: 1e-3),
    ],
    ids=["reduces one axis", "divides by H*W", "lambda off by ten"],
)
def test_a_planted_bug_leaves_a_report_and_no_file(bug, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(*bug)
    with pytest.raises(ValidationError, match=r"m\.onnx was not written: the gate of SimAM"):
        export_onnx(digits, tmp_path / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["m.failed.json"]
    report = json.loads((tmp_path / "m.failed.json").read_text())
    assert report["passed"] is False
    assert len(report["results"]) == 3


def test_an_older_export_survives_a_failure(digits, exported, tmp_path, monkeypatch):
    first = export_onnx(digits, tmp_path / "m.onnx").path.read_bytes()
    monkeypatch.setattr(mean, "SPATIAL", (2,))
    with pytest.raises(ValidationError):
        export_onnx(digits, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == first


@pytest.mark.parametrize("opset", [13, 23, *slow([15, 17, 20])])
def test_every_opset(opset, digits, tmp_path):
    artifact = export_onnx(
        digits, tmp_path, onnx=OnnxOptions(opset=opset), network=NetworkOptions(dynamic="hw")
    )
    model = onnx.load(artifact.path)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", opset)]
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    ("dynamic", "shape"),
    [
        ("none", (2, 3, 32, 48)),
        ("batch", ("batch", 3, 32, 48)),
        ("hw", ("batch", 3, "height", "width")),
    ],
)
def test_dynamic_axes_and_names(dynamic, shape, digits, tmp_path):
    artifact = export_onnx(
        digits,
        tmp_path,
        onnx=OnnxOptions(simplify=False),
        network=NetworkOptions(
            dynamic=dynamic,
            input_shape=(2, 3, 32, 48),
            input_names=["image"],
            output_names=["scores"],
        ),
    )
    assert artifact.inputs[0].shape == shape
    assert (artifact.inputs[0].name, artifact.outputs[0].name) == ("image", "scores")
    shapes = any(n.op_type == "Shape" for n in onnx.load(artifact.path).graph.node)
    assert shapes is (dynamic == "hw")


# Lowering, free dimensions, and what the name of an op begins with that a site has once.
LOWERED_TO = [
    ("nopow", "hw", "Sigmoid"),
    ("flat", "batch", "Flatten"),
    ("function", "hw", "SimAMResidualEpilogue"),
    ("instancenorm", "batch", "Instance"),
    ("plugin", "hw", "SimAMResidualEpilogue"),
]


@pytest.mark.parametrize(("lowering", "dynamic", "op_type"), LOWERED_TO)
def test_every_lowering_validates_and_is_named(lowering, dynamic, op_type, digits, tmp_path):
    artifact = export_onnx(
        digits,
        tmp_path,
        onnx=OnnxOptions(lowering=lowering),
        network=NetworkOptions(dynamic=dynamic),
    )
    assert artifact.lowering == artifact.to_json()["lowering"] == lowering
    model = onnx.load(artifact.path)
    onnx.checker.check_model(model, full_check=True)
    assert {p.key: p.value for p in model.metadata_props}["simam.lowering"] == lowering
    assert json.loads(artifact.manifest_path.read_text())["lowering"] == lowering
    found = [n for n in model.graph.node if n.op_type.startswith(op_type)]
    assert len(found) == 9
    bodies = ["SimAMResidualEpilogue"] * (lowering in WITH_FUNCTIONS)
    assert [f.name for f in model.functions] == bodies


def test_auto_is_named_by_what_it_took(exported):
    assert exported.lowering == "portable"


def test_a_lowering_that_cannot_be_leaves_nothing(digits, tmp_path):
    with pytest.raises(
        UsageError, match=r"wants fixed sizes, but SimAM layer1\.0.* height x width"
    ):
        export_onnx(
            digits,
            tmp_path / "m.onnx",
            onnx=OnnxOptions(lowering="instancenorm"),
            network=NetworkOptions(dynamic="hw"),
        )
    assert list(tmp_path.iterdir()) == []


def test_lambda_on_the_command_line_wins(digits, tmp_path):
    artifact = export_onnx(digits, tmp_path, network=NetworkOptions(e_lambda=0.5))
    assert (artifact.e_lambda, artifact.e_lambda_source) == (0.5, "given")


def test_an_unstated_lambda_is_called_assumed(digits, tmp_path):
    (tmp_path / "weights.pth").write_bytes(digits.read_bytes())
    artifact = export_onnx(tmp_path / "weights.pth")
    assert artifact.e_lambda_source.startswith("assumed")
    assert artifact.path == tmp_path / "weights.onnx"


def test_the_option_settles_a_dispute(digits, tmp_path):
    folder = tmp_path / "x-simam-param0.5"
    folder.mkdir()
    file = torch.load(digits, weights_only=True) | {"e_lambda": 0.1}
    torch.save(file, folder / "m.pth")
    with pytest.raises(CheckpointError, match="0.1, file.*0.5, folder.*say which"):
        export_onnx(folder / "m.pth")
    assert export_onnx(folder / "m.pth", network=NetworkOptions(e_lambda=0.1)).e_lambda == 0.1

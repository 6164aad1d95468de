"""What a file says of its network, from the file to the manifest."""

import argparse
import json
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from simam_deploy import NetworkOptions, OnnxOptions, UsageError, export_onnx, validate_models
from simam_deploy.cli.export import main
from simam_deploy.core.caveats import caveats
from simam_deploy.engine.build.prepare import recognise_graph, write_graph
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.source import load_subject
from simam_deploy.source.stated.of_onnx import add_metadata
from simam_deploy.verify.candidate import open_candidate
from tests.source.detector import SimamModule

CONFIG = """
model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False, pad_size_divisor=32),
    backbone=dict(type='ResNetAM', depth=18, attention_type='simam', attention_param=0.0001))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 48), keep_ratio=True),
    dict(type='PackDetInputs')]
"""


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), SimamModule(4, 0.01), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def make():
    torch.manual_seed(0)
    return Classifier().eval()


LEFT_OUT = "the file's class names are left out: 3 classes are named, and there are scores of 2 ("
MODEL = f"{Path(__file__)}:make"


@pytest.fixture
def detector(tmp_path):
    """A checkpoint as mmengine writes it: a backbone, parts that stay behind, and text."""
    torch.manual_seed(0)
    backbone = create(NETWORKS["resnet18_backbone"], 1e-4, (8,)).eval()
    weights = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}
    meta = {"cfg": CONFIG, "dataset_meta": {"classes": ("a", "b")}, "epoch": 12}
    file = {"meta": meta, "state_dict": {**weights, "rpn_head.rpn_cls.bias": torch.ones(3)}}
    torch.save(file, tmp_path / "epoch_12.pth")
    return tmp_path / "epoch_12.pth"


def manifest(path):
    return json.loads(path.with_suffix(".json").read_text())


def test_mmdetection_from_its_own_words(detector, capsys):
    """Lambda, the size and the pictures are the file's; a backbone's maps have no classes."""
    assert main([str(detector)]) == 0
    printed = capsys.readouterr()
    where = "file (meta.cfg.model.backbone.attention_param)"
    assert f"0.0001 ({where})" in printed.out
    assert "CONTRADICTION" not in printed.err
    facts = manifest(detector)
    assert (facts["e_lambda"], facts["e_lambda_source"]) == (0.0001, where)
    assert {site["e_lambda"] for site in facts["simam_sites"]} == {0.0001}
    assert facts["preprocessing"] == {
        "kind": "image", "layout": "NCHW", "color": "BGR", "scale": 1.0,
        "mean": [103.53, 116.28, 123.675], "std": [1.0, 1.0, 1.0],
        "resize": [96, 48], "keep_ratio": True, "pad_divisor": 32,
    }  # fmt: skip
    assert "contradictions" not in facts
    assert "classes" not in facts
    assert "input of 64x96, file (meta.cfg.test_pipeline)" in facts["notes"]
    assert any("file (meta.cfg.model.data_preprocessor)" in note for note in facts["notes"])
    spec = onnx.load(detector.with_suffix(".onnx")).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in spec[1:]] == [3, 64, 96]


def test_a_user_who_says_otherwise_hears_of_it(detector, capsys):
    """And whoever takes the file, as serve and build do by its caveats."""
    given = ["--lambda", "0.1", "--input-shape", "1x3x64x64", "--json", "--quiet"]
    assert main([str(detector), *given]) == 0
    printed = capsys.readouterr()
    facts = manifest(detector)
    assert facts["e_lambda"] == 0.1
    lines = [
        "lambda 0.1 was given, and file (meta.cfg.model.backbone.attention_param) says 0.0001",
        "the input is 64x64, and file (meta.cfg.test_pipeline) says 64x96: SimAM takes its mean "
        "over the whole map, so another size gives other outputs",
    ]
    assert facts["contradictions"] == lines
    assert list(caveats(facts)) == lines
    assert set(lines) <= set(facts["notes"])
    assert printed.err == "".join(f"simam: CONTRADICTION: {line}\n" for line in lines)
    assert json.loads(printed.out)["contradictions"] == lines
    recognised = recognise_graph(detector.with_suffix(".onnx"))
    made = write_graph(recognised, detector.with_name("g.onnx"), "wide")
    assert made["contradictions"] == lines
    assert set(lines) <= set(made["notes"])


def save_own(folder, **beside):
    torch.save({"state_dict": make().state_dict(), **beside}, folder / "own.pth")
    return folder / "own.pth"


def test_a_network_that_was_trained_with_another_lambda(tmp_path):
    """Its own code has 0.01; the file knows better, and nothing else would show it."""
    path = save_own(tmp_path, args=argparse.Namespace(e_lambda=0.5, img_size=32))
    artifact = export_onnx(path, network=NetworkOptions(model=MODEL))
    (line,) = artifact.contradictions
    assert line.startswith("file (args.e_lambda) says lambda 0.5, and the network's SimAM have 0.0")
    assert manifest(artifact.path)["contradictions"] == [line]
    assert artifact.inputs[0].shape == ("batch", 3, 32, 32)
    again = export_onnx(artifact.path, tmp_path / "again.onnx")
    assert again.contradictions == (line,)
    report = validate_models(path, artifact.path, NetworkOptions(model=MODEL))
    assert report.notes.count(line) == 2  # of the source, and of the file


@pytest.mark.parametrize("said", [0.01, "1e-2", None])
def test_a_network_that_is_as_its_file_says(said, tmp_path):
    path = save_own(tmp_path, args={"e_lambda": said})
    asked = NetworkOptions(model=MODEL, input_shape=(1, 3, 32, 32))
    subject = load_subject(path, asked)
    sites = [argparse.Namespace(e_lambda=0.01)]
    assert subject.contradicted(sites) == []


def test_a_network_saved_whole_and_trusted(tmp_path):
    """As ultralytics leaves it: the size, the names and the pictures are beside it and in it."""
    network = make()
    network.names, network.stride = {0: "cat", 1: "dog"}, torch.tensor([2.0])
    training = {"task": "classify", "imgsz": 48}
    torch.save({"model": network, "train_args": training}, tmp_path / "best.pt")
    subject = load_subject(tmp_path / "best.pt", NetworkOptions(trust_pickle=True))
    assert subject.shapes[0] == ((1, 3, 48, 48),)
    assert subject.facts["classes"] == ["cat", "dog"]
    assert subject.facts["preprocessing"]["crop"] == 48
    assert "input of 48x48, file (train_args.imgsz)" in subject.notes
    given = NetworkOptions(trust_pickle=True, input_shape=(1, 3, 32, 32))
    (line,) = load_subject(tmp_path / "best.pt", given).contradictions
    assert line.startswith("the input is 32x32, and file (train_args.imgsz) says 48x48")


@pytest.mark.parametrize("asked", [{"model": MODEL}, {"trust_pickle": True}])
def test_lambda_cannot_be_told_of_a_network_that_has_its_own(asked, tmp_path):
    torch.save({"model": make()}, tmp_path / "own.pth")
    options = NetworkOptions(e_lambda=0.1, input_shape=(1, 3, 32, 32), **asked)
    with pytest.raises(UsageError, match="has its lambda in its own code: leave it out"):
        load_subject(tmp_path / "own.pth", options)


def test_where_nobody_says_a_size_it_is_asked_for(tmp_path):
    with pytest.raises(UsageError, match="give the input's shape"):
        load_subject(save_own(tmp_path), NetworkOptions(model=MODEL))


@pytest.mark.parametrize(
    ("names", "given", "kept", "said"),
    [
        (["a", "b"], None, ["a", "b"], None),
        (["a", "b"], "a\nb\n", ["a", "b"], None),
        (["a", "b"], "a\nc\n", ["a", "c"], "2 class names were given, and the file has 2 others, "
         "the first 'c' for 'b'"),
        (["a", "b", "c"], None, None, LEFT_OUT),
    ],
)  # fmt: skip
def test_class_names(names, given, kept, said, tmp_path):
    path = save_own(tmp_path, class_names=names)
    labels = None
    if given is not None:
        labels = tmp_path / "labels.txt"
        labels.write_text(given)
    network = NetworkOptions(model=MODEL, input_shape=(1, 3, 32, 32))
    artifact = export_onnx(path, onnx=OnnxOptions(labels=labels), network=network)
    facts = manifest(artifact.path)
    assert facts.get("classes") == kept
    assert [line[: len(said or "")] for line in facts.get("contradictions", [])] == (
        [said] if said else []
    )
    assert any("class names, file (class_names)" in note for note in facts["notes"])


ULTRALYTICS = {
    "task": "classify",
    "stride": "1",
    "imgsz": "[48, 48]",
    "names": "{0: 'cat', 1: 'dog'}",
    "channels": "3",
}


def theirs(folder, size, told):
    """An .onnx that another exporter wrote, with its own metadata."""
    path = folder / "theirs.onnx"
    free = {0: "n", 2: "h", 3: "w"} if size is None else {0: "n"}
    shape = (2, 3, size or 40, size or 40)
    torch.onnx.export(
        make(), (torch.zeros(shape),), path, dynamo=False, input_names=["images"],
        dynamic_axes={"images": free},
    )  # fmt: skip
    model = onnx.load(path)
    onnx.helper.set_model_props(model, told)
    onnx.save(model, path)
    return path


@pytest.mark.filterwarnings("ignore")
def test_metadata_of_another_exporter(tmp_path):
    artifact = export_onnx(theirs(tmp_path, None, ULTRALYTICS), tmp_path / "ours.onnx")
    facts = manifest(artifact.path)
    assert facts["classes"] == ["cat", "dog"]
    assert facts["preprocessing"] == {
        "kind": "image", "layout": "NCHW", "color": "RGB", "scale": 1 / 255,
        "mean": [0.0] * 3, "std": [1.0] * 3, "resize": 48, "crop": 48,
    }  # fmt: skip
    assert any("1x3x48x48" in r.case for r in artifact.validation.results)
    assert "2 class names, file (metadata names)" in facts["notes"]
    props = {p.key: p.value for p in onnx.load(artifact.path).metadata_props}
    assert props.items() >= ULTRALYTICS.items()
    again = export_onnx(artifact.path, tmp_path / "again.onnx")
    assert manifest(again.path)["preprocessing"] == facts["preprocessing"]


@pytest.mark.filterwarnings("ignore")
def test_metadata_that_is_not_the_graphs(tmp_path):
    told = {**ULTRALYTICS, "names": "['a', 'b', 'c']", "e_lambda": "0.5"}
    artifact = export_onnx(theirs(tmp_path, 32, told), tmp_path / "ours.onnx")
    size, lam, names = artifact.contradictions
    assert size.startswith("the input is 32x32, and file (metadata imgsz) says 48x48")
    assert lam.startswith("file (metadata e_lambda) says lambda 0.5, and the network's SimAM have")
    assert names.startswith(LEFT_OUT)
    assert "classes" not in manifest(artifact.path)


@pytest.mark.filterwarnings("ignore")
def test_another_exporters_file_that_is_built_as_it_is(tmp_path):
    """Its plan's manifest knows what the metadata say, in the words of an export of ours."""
    path = theirs(tmp_path, 40, ULTRALYTICS)
    model = read_model(path)
    facts = write_graph(recognise_graph(path), tmp_path / "g.onnx", "wide")
    facts = add_metadata(facts, model.metadata_props, *interface(model))
    assert facts["classes"] == ["cat", "dog"]
    assert facts["preprocessing"]["resize"] == 48
    (line,) = facts["contradictions"]
    assert line.startswith("the input is 40x40, and file (metadata imgsz) says 48x48")
    assert line in facts["notes"]
    ours = export_onnx(path, tmp_path / "ours.onnx").path
    told = write_graph(recognise_graph(ours), tmp_path / "g.onnx", "wide")
    model = read_model(ours)
    again = add_metadata(told, model.metadata_props, *interface(model))
    assert again == told
    assert again["classes"] == facts["classes"]
    assert again["contradictions"] == facts["contradictions"]


@pytest.mark.filterwarnings("ignore")
def test_a_candidate_of_another_exporter(tmp_path):
    facts = open_candidate(theirs(tmp_path, 48, ULTRALYTICS)).facts
    assert facts["classes"] == ["cat", "dog"]
    assert facts["preprocessing"]["crop"] == 48

"""Programs: torch.export's .pt2 and TorchScript archives."""

import json
import os
import warnings

import numpy as np
import pytest
import torch

from simam_deploy import CheckpointError, NetworkOptions, OnnxOptions, UsageError, export_onnx
from simam_deploy.core.specs import SimamSite
from simam_deploy.graph.prepare import plain
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.source import load_subject
from simam_deploy.source.options import read_input
from tests.source import called, detector

X = torch.zeros(2, 3, 64, 96)


class OneOutput(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = detector.make()

    def forward(self, x):
        out = self.net(x)
        return out["deep"], out["shallow"][0]


@pytest.fixture(scope="module")
def pt2(tmp_path_factory):
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(OneOutput().eval(), (X,), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("ts") / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(OneOutput().eval(), X), path)
    return path


@pytest.mark.parametrize("kind", ["pt2", "script"])
@pytest.mark.parametrize("named", [{"arch": "simam_resnet50"}, {"model": "nets.py:make"}])
def test_what_names_another_network(kind, named, request):
    asked = NetworkOptions(trust_pickle=True, input_shape=X.shape, **named)
    with pytest.raises(UsageError, match="leave out what names another"):
        load_subject(request.getfixturevalue(kind), asked)


def test_a_torch_export_program(pt2):
    artifact = export_onnx(pt2, network=NetworkOptions(trust_pickle=True))
    assert [site.e_lambda for site in artifact.sites] == [1e-4, 0.1]
    assert artifact.inputs[0].shape[1:] == (3, 64, 96)
    assert isinstance(artifact.inputs[0].shape[0], str)
    assert artifact.path.name == "net.onnx"


@pytest.mark.parametrize("dynamic", ["none", "batch", "hw"])
@pytest.mark.parametrize("opset", [13, 18])
def test_a_torchscript_archive(dynamic, opset, script, tmp_path):
    artifact = export_onnx(
        script,
        tmp_path,
        onnx=OnnxOptions(opset=opset),
        network=NetworkOptions(trust_pickle=True, input_shape=X.shape, dynamic=dynamic),
    )
    assert [site.e_lambda for site in artifact.sites] == [1e-4, 0.1]
    assert artifact.opset == opset


LEFT, RIGHT = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16)


class Nested(called.Pair):
    """Pictures in a list and a dict, as batches of data loaders are."""

    def forward(self, pictures):
        return super().forward(pictures[0], pictures[1]["second"])


def exported(network, *placed, **named):
    return lambda path: torch.export.save(torch.export.export(network, placed, named), path)


def traced(network, *placed):
    return lambda path: torch.jit.save(torch.jit.trace(network, placed, strict=False), path)


@pytest.mark.parametrize(
    ("save", "names"),
    [
        (exported(called.Pair(), left=LEFT, right=RIGHT), ("left", "right")),
        (exported(Nested(), [LEFT, {"second": RIGHT}]), ("pictures_0", "pictures_1_second")),
        (traced(called.Pair(), LEFT, RIGHT), ("a", "b")),
    ],
    ids=["program", "nested", "script"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_several_inputs_and_a_dict(save, names, tmp_path):
    save(tmp_path / "net.pt")
    inputs = tuple(read_input(f"{name}:float32:2x3x16x16") for name in names if len(name) == 1)
    subject = load_subject(tmp_path / "net.pt", NetworkOptions(trust_pickle=True, inputs=inputs))
    feeds = {name: x.numpy() for name, x in zip(names, (LEFT, RIGHT), strict=True)}
    with torch.no_grad():
        expected = list(called.Pair()(LEFT, RIGHT).values())
    for opened in (subject.reference(), run_graph(plain(subject.graph().model))):
        with opened as runner:
            got = runner.run(feeds)
        assert [*got][1:] == ["mean", "distance"]
        for array, tensor in zip(got.values(), expected, strict=True):
            np.testing.assert_allclose(array, tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "shape"), [("pt2", None), ("script", (2, 3, 64, 96))])
def test_a_name_that_is_no_utf_8(kind, shape, request, tmp_path):
    source = request.getfixturevalue(kind)
    odd = tmp_path / os.fsdecode(b"\xff" + os.fsencode(source.name))
    odd.write_bytes(source.read_bytes())
    subject = load_subject(odd, NetworkOptions(trust_pickle=True, input_shape=shape))
    assert subject.facts["source"]["file"] == odd.name


def test_both_are_programs_and_need_trust(pt2, script):
    for path in (pt2, script):
        with pytest.raises(CheckpointError, match="say that you trust it"):
            export_onnx(path)


def test_a_program_has_its_own_shapes(pt2):
    with pytest.raises(UsageError, match="fixes its own inputs, shapes"):
        export_onnx(pt2, network=NetworkOptions(trust_pickle=True, input_shape=(1, 3, 32, 32)))


def test_torchscript_ends_at_opset_20(script):
    with pytest.raises(UsageError, match="up to opset 20"):
        export_onnx(
            script,
            onnx=OnnxOptions(opset=21),
            network=NetworkOptions(trust_pickle=True, input_shape=X.shape),
        )


@pytest.mark.parametrize("tenths", range(1, 10))
def test_truncated(tenths, pt2, script, tmp_path):
    for path in (pt2, script):
        whole = path.read_bytes()
        cut = tmp_path / path.name
        cut.write_bytes(whole[: len(whole) * tenths // 10])
        with pytest.raises(CheckpointError):
            export_onnx(cut, network=NetworkOptions(trust_pickle=True, input_shape=X.shape))
    assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.parametrize("kind", ["script", "pt2"])
def test_lambda_cannot_be_told(kind, request, tmp_path):
    """It was ignored in silence."""
    with pytest.raises(UsageError, match="has its lambda in its own code: leave it out"):
        asked = NetworkOptions(trust_pickle=True, e_lambda=0.1, input_shape=None)
        load_subject(request.getfixturevalue(kind), asked)


@pytest.mark.parametrize("kind", ["script", "pt2"])
def test_what_its_extra_files_say(kind, tmp_path):
    """As ultralytics and YOLOv5 write them beside a program."""
    told = {"task": "detect", "stride": 32, "imgsz": [64, 96], "names": {"0": "cat", "1": "dog"}}
    extra = {"config.txt": json.dumps({**told, "e_lambda": 0.5}), "notes.bin": "\0"}
    path = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "script":
            torch.jit.save(torch.jit.trace(OneOutput().eval(), X), path, _extra_files=extra)
        else:
            path = path.with_suffix(".pt2")
            program = torch.export.export(OneOutput().eval(), (X,))
            torch.export.save(program, path, extra_files=extra)
    subject = load_subject(path, NetworkOptions(trust_pickle=True))
    assert subject.facts["classes"] == ["cat", "dog"]
    assert subject.facts["preprocessing"]["resize"] == [96, 64]
    assert subject.shapes[0][0][2:] == (64, 96)
    (line,) = subject.contradicted([SimamSite("a", (1, 2, 3, 3), 0.1)])
    assert line.startswith("file (metadata e_lambda) says lambda 0.5, and the network's")

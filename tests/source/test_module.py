"""Networks of the user's own: a factory with a state_dict, pickled modules."""

import datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from simam_deploy import (
    InputError,
    NetworkError,
    NetworkOptions,
    OnnxOptions,
    UsageError,
    export_onnx,
)
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source import load_subject
from tests.source import detector

PLACE = str(Path(__file__).parent / "detector.py")
SHAPE = (1, 3, 64, 96)


@pytest.fixture
def weights(tmp_path):
    torch.save({"model": detector.make().state_dict()}, tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.parametrize("dynamic", ["none", "batch", "hw"])
def test_a_factory_in_a_file(dynamic, weights):
    artifact = export_onnx(
        weights,
        onnx=OnnxOptions(opset=17),
        network=NetworkOptions(model=f"{PLACE}:make", input_shape=SHAPE, dynamic=dynamic),
    )
    assert [(s.name, s.e_lambda) for s in artifact.sites] == [("attention", 1e-4), ("by_var", 0.1)]
    assert artifact.e_lambda is None
    assert "different by site" in artifact.e_lambda_source
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    net = detector.make().eval()
    with OnnxRunner(artifact.path) as runner, torch.inference_mode():
        got, expected = runner.run({"input": x}), net(torch.from_numpy(x))
    np.testing.assert_allclose(got["deep"], expected["deep"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got["shallow_0"], expected["shallow"][0], rtol=1e-4, atol=1e-5)
    shapes = any(n.op_type == "Shape" for n in onnx.load(artifact.path).graph.node)
    assert shapes is (dynamic == "hw")


def under(prefix):
    return lambda weights: {f"{prefix}{key}": value for key, value in weights.items()}


def wrapped_inside(weights):
    return {key.replace(".", "._orig_mod.", 1): value for key, value in weights.items()}


def beside_a_loss(weights):
    return {**under("net.")(weights), "loss.centers": torch.ones(3)}


@pytest.mark.parametrize(
    ("spell", "factory", "notes"),
    [
        (under(""), "make", ()),
        (under("module."), "make", ("prefix module.",)),
        (under("_orig_mod.module."), "make", ("prefix _orig_mod.", "prefix module.")),
        (under("net."), "make", ("prefix net.",)),
        (under("model.net."), "make", ("prefix model.", "prefix net.")),
        (wrapped_inside, "make", None),
        (beside_a_loss, "make", ("prefix net.", "1 key beside net. left out (loss.centers)")),
        (under("model."), "held", ()),
        (under("module.model."), "held", ("prefix module.",)),
        (under(""), "held", ("prefix model. put before",)),
    ],
)
def test_keys_are_read_as_stored_and_then_without_prefixes(spell, factory, notes, tmp_path):
    """An ordinary YOLO's own keys begin with model."""
    weights = detector.make().state_dict()
    torch.save(spell(weights), tmp_path / "w.pth")
    asked = NetworkOptions(model=f"{PLACE}:{factory}", input_shape=SHAPE)
    subject = load_subject(tmp_path / "w.pth", asked)
    if notes is None:
        notes = (f"_orig_mod. in {len(weights)} keys",)
    assert subject.notes == notes
    x = torch.randn(SHAPE)
    with subject.reference() as runner, torch.inference_mode():
        (name, *_), expected = runner.outputs, detector.make().eval()(x)["deep"]
        np.testing.assert_array_equal(runner.run({"input": x.numpy()})[name.name], expected)


def test_a_factory_in_a_package(weights):
    artifact = export_onnx(
        weights, network=NetworkOptions(model="tests.source.detector:make", input_shape=SHAPE)
    )
    assert len(artifact.sites) == 2
    assert artifact.arch == "model:tests.source.detector:make"


def test_a_factory_beside_a_name_of_the_zoo(weights):
    asked = NetworkOptions(
        model="tests.source.detector:make", arch="simam_resnet50", input_shape=SHAPE
    )
    with pytest.raises(UsageError, match="none by name: leave one out"):
        load_subject(weights, asked)


def test_weights_of_a_pickled_module_need_none(tmp_path):
    """As a detector's training leaves them; its package need not be there."""
    torch.save({"model": detector.make(), "date": datetime.date(2026, 1, 1)}, tmp_path / "whole.pt")
    asked = NetworkOptions(model=f"{PLACE}:make", input_shape=SHAPE)
    notes = load_subject(tmp_path / "whole.pt", asked).notes
    assert len(notes) == 1
    assert notes[0].startswith("objects read without their code (tests.source.detector.Net, ")


def test_a_pickled_module_needs_trust(tmp_path):
    torch.save(detector.make(), tmp_path / "whole.pt")
    with pytest.raises(NetworkError, match=r"holds a whole tests.source.detector.Net: .*trust it"):
        export_onnx(tmp_path / "whole.pt", network=NetworkOptions(input_shape=SHAPE))
    artifact = export_onnx(
        tmp_path / "whole.pt", network=NetworkOptions(input_shape=SHAPE, trust_pickle=True)
    )
    assert artifact.arch == "module:Net"
    assert len(artifact.sites) == 2


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        (f"{PLACE}:missing", InputError, "AttributeError"),
        ("nowhere.py:make", InputError, "no such file"),
        ("no_such_package:make", InputError, "ModuleNotFoundError"),
        (f"{PLACE}:not_a_module", InputError, "returned a int, no nn.Module"),
        (f"{PLACE}:fails", InputError, "no such config"),
        ("make", UsageError, "file.py:factory"),
        (f"{PLACE}:make_almost", NetworkError, "weights do not fit"),
    ],
)
def test_what_is_wrong_with_a_factory_is_one_line(model, error, says, weights):
    with pytest.raises(error, match=says):
        export_onnx(weights, network=NetworkOptions(model=model, input_shape=SHAPE))
    assert [p.name for p in weights.parent.iterdir()] == ["w.pth"]


def test_the_input_shape_is_asked_for(weights):
    with pytest.raises(UsageError, match="give the input's shape"):
        export_onnx(weights, network=NetworkOptions(model=f"{PLACE}:make"))


def test_a_shape_that_the_network_refuses(weights):
    with pytest.raises(InputError, match="fails on an input of 1x4x64x64"):
        export_onnx(
            weights, network=NetworkOptions(model=f"{PLACE}:make", input_shape=(1, 4, 64, 64))
        )


def test_what_only_comes_near_is_named(tmp_path):
    torch.save(detector.make_almost().state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"holds no SimAM: .*biased variance"):
        export_onnx(
            tmp_path / "w.pth",
            network=NetworkOptions(model=f"{PLACE}:make_almost", input_shape=SHAPE),
        )


def test_a_map_of_one_pixel_is_refused(tmp_path):
    torch.save(detector.make_one_site().state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds no SimAM: 1 is no SimAM: H.W = 1"):
        export_onnx(
            tmp_path / "w.pth",
            network=NetworkOptions(model=f"{PLACE}:make_one_site", input_shape=(1, 3, 2, 2)),
        )

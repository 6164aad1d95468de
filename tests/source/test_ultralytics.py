"""Detectors of ultralytics' kind: one output, its names, and what their predictor reads."""

import ast
import copy
import sys

import numpy as np
import onnx
import pytest
import torch

from simam_deploy import InputError, NetworkOptions, OnnxOptions, export_onnx
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source import load_subject
from simam_deploy.source.ultralytics import metadata, output_names, ready_to_export
from tests.source import yolo

SHAPE = (1, 3, yolo.SIZE, yolo.SIZE)
SAID = {
    "task": "detect",
    "stride": 8,
    "names": yolo.NAMES,
    "imgsz": [yolo.SIZE, yolo.SIZE],
    "batch": 1,
    "channels": 3,
    "end2end": False,
    "args": {"batch": 1, "dynamic": False},
}


@pytest.fixture
def network():
    return yolo.make()


def saved(network, folder):
    torch.save(yolo.checkpoint(network), folder / "best.pt")
    return folder / "best.pt"


def asked(dynamic=None, shape=SHAPE):
    return NetworkOptions(trust_pickle=True, input_shape=shape, dynamic=dynamic)


def decoded(network, x):
    """What its own exporter writes of the file: the half weights in float32, the decoded boxes."""
    net = copy.deepcopy(network).half().float().eval()
    with torch.inference_mode():
        return net(torch.from_numpy(x))[0].numpy()


def drawn(shape):
    return np.random.default_rng(1).random(shape, np.float32)


def said_in(path):
    """What its predictor reads: literals, but for the task."""
    props = {p.key: p.value for p in onnx.load(path).metadata_props}
    theirs = {key: text for key, text in props.items() if not key.startswith("simam.")}
    return {k: text if k == "task" else ast.literal_eval(text) for k, text in theirs.items()}


def test_a_checkpoint_gives_what_its_own_exporter_gives(network, tmp_path):
    artifact = export_onnx(saved(copy.deepcopy(network), tmp_path), network=asked())
    assert [(s.name, s.shape) for s in artifact.inputs] == [("images", SHAPE)]
    assert [(s.name, s.shape) for s in artifact.outputs] == [("output0", (1, 7, 320))]
    assert len(artifact.sites) == 2
    assert [note for note in artifact.notes if "export" in note] == [
        "export set on model.2 (Detect)"
    ]
    assert said_in(artifact.path) == SAID
    x = drawn(SHAPE)
    with OnnxRunner(artifact.path) as runner:
        got = runner.run({"images": x})["output0"]
    np.testing.assert_allclose(got, decoded(network, x), rtol=1e-5, atol=1e-4)


def test_what_its_predictor_reads_is_in_every_precision(network, tmp_path):
    np.savez(tmp_path / "pictures.npz", images=drawn((8, *SHAPE[1:])))
    source = saved(network, tmp_path)
    half = export_onnx(source, tmp_path / "half.onnx", OnnxOptions(precision="fp16"), asked())
    assert said_in(half.path) == SAID
    again = export_onnx(half.path, tmp_path / "again.onnx")
    assert said_in(again.path) == SAID
    eight = OnnxOptions(precision="int8", calibration_data=tmp_path / "pictures.npz")
    assert said_in(export_onnx(source, tmp_path / "int8.onnx", eight, asked()).path) == SAID


def test_free_sizes_take_the_grid_along(network, tmp_path):
    artifact = export_onnx(saved(copy.deepcopy(network), tmp_path), network=asked("hw"))
    assert said_in(artifact.path) == {**SAID, "args": {"batch": 1, "dynamic": True}}
    x = drawn((2, 3, 96, 32))
    with OnnxRunner(artifact.path) as runner:
        got = runner.run({"images": x})["output0"]
    np.testing.assert_allclose(got, decoded(network, x), rtol=1e-5, atol=1e-4)


def test_a_grid_left_in_the_file_is_not_believed(network, tmp_path):
    stale = copy.deepcopy(network)
    with torch.no_grad():
        stale(torch.zeros(SHAPE))
    stale.model[-1].anchors = torch.zeros_like(stale.model[-1].anchors)
    x = drawn(SHAPE)
    with load_subject(saved(stale, tmp_path), asked()).reference() as runner:
        np.testing.assert_array_equal(runner.run({"images": x})["output0"], decoded(network, x))


@pytest.mark.parametrize("dynamic", ["none", "batch", "hw"])
def test_free_dimensions_that_are_asked_for_stay_so(dynamic, network):
    options, notes = ready_to_export(network, asked(dynamic))
    assert options.dynamic == dynamic
    assert ["free batch" in note for note in notes] == [True] * (dynamic == "batch")
    assert network.model[-1].dynamic is (dynamic == "hw")


def test_names_that_are_asked_for_stay_so(network):
    options = NetworkOptions(input_names=("x",))
    assert ready_to_export(network, options)[0].input_names == ("x",)


@pytest.mark.parametrize(
    ("names", "written"), [(["a", "b"], {0: "a", 1: "b"}), ({0: "a", 7: 3}, {0: "a", 7: "3"})]
)
def test_names_of_classes_as_they_come(names, written, network):
    network.names = names
    assert ast.literal_eval(metadata(network, SHAPE, asked())["names"]) == written


@pytest.mark.parametrize(
    ("head", "task"),
    [("Segment", "segment"), ("OBB", "obb"), ("v10Detect", "detect"), ("Pose26", "pose")],
)
def test_the_task_is_told_by_the_head_where_nothing_says_it(head, task, network):
    network.args = None
    network.model[-1].__class__ = type(head, (yolo.Detect,), {})
    assert metadata(network, SHAPE, asked())["task"] == task


def test_what_poses_want_is_written(network):
    network.kpt_shape = [17, 3]
    assert metadata(network, SHAPE, asked())["kpt_shape"] == "[17, 3]"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda network: delattr(network, "names"),
        lambda network: delattr(network, "stride"),
        lambda network: network.names.update(other="text"),
        lambda network: setattr(network, "stride", torch.empty(0)),
        lambda network: setattr(network.model[-1], "export", network.model[-1].grid),
    ],
)
def test_another_kind_is_left_as_it_is(spoil, network):
    spoil(network)
    before = vars(network.model[-1]).copy()
    assert ready_to_export(network, asked()) == (asked(), ())
    assert vars(network.model[-1]) == before
    assert metadata(network, SHAPE, asked()) == {}
    assert output_names(network, torch.ones(1)) is None


def test_code_that_is_not_here_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "my_layers.py").write_text(
        "from tests.source.yolo import *\nclass Own(DetectionModel): pass"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import my_layers

    torch.save({"model": my_layers.Own()}, tmp_path / "own.pt")
    monkeypatch.undo()
    del sys.modules["my_layers"]
    with pytest.raises(InputError, match=r"^own.pt wants the module my_layers, .*PYTHONPATH$"):
        load_subject(tmp_path / "own.pt", asked())

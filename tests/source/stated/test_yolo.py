"""What ultralytics and YOLOv5 leave in a checkpoint, and in the metadata of an .onnx."""

import pytest
import torch
from torch import nn

from simam_deploy.core.facts import FACTS
from simam_deploy.source.checkpoint import load_checkpoint
from simam_deploy.source.stated.choice import take
from simam_deploy.source.stated.reading import read_stated

EXPORTED = {
    "description": "Ultralytics YOLOv8n model trained on boxes.yaml",
    "version": "8.3.40",
    "stride": "32",
    "task": "detect",
    "batch": "1",
    "imgsz": "[480, 640]",
    "names": "{0: 'person', 1: 'traffic light'}",
    "args": "{'batch': 1, 'half': False, 'simplify': True}",
}
LETTERBOX = {"keep_ratio": True, "pad": "centre", "pad_value": 114, "pad_divisor": 32}
UNSCALED = {"color": "RGB", "scale": 1 / 255, "mean": [0.0] * 3, "std": [1.0] * 3}


class SimAM(nn.Module):
    def __init__(self, e_lambda):
        super().__init__()
        self.lam = e_lambda


class DetectionModel(nn.Module):
    """Holds what ultralytics' and YOLOv5's hold."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, 4, 1), SimAM(0.01))
        self.names = {0: "person", 1: "car"}
        self.stride = torch.tensor([8.0, 16.0, 64.0])
        self.yaml = {"nc": 2, "ch": 3, "backbone": [[-1, 1, "SimAM", [256]]]}


class ClassificationModel(DetectionModel):
    pass


def values(stated):
    return {
        what: [one.value for one in getattr(stated, what)]
        for what in ("lambdas", "classes", "levels", "fits", "sizes")
    }


@pytest.mark.parametrize("protocol", [2, 4])
def test_an_ultralytics_checkpoint(protocol, tmp_path):
    """Of the layers' arguments nothing is believed: there 256 is as often a number of channels."""
    arguments = {"task": "detect", "imgsz": 320, "data": "boxes.yaml", "batch": 16}
    file = {"epoch": -1, "model": None, "ema": DetectionModel(), "train_args": arguments}
    torch.save(file, tmp_path / "best.pt", pickle_protocol=protocol)
    stated = load_checkpoint(tmp_path / "best.pt").stated
    assert values(stated) == {
        "lambdas": [0.01],
        "classes": [("person", "car")],
        "levels": [UNSCALED],
        "fits": [{"resize": [320, 320], **LETTERBOX, "pad_divisor": 64}],
        "sizes": [(320, 320)],
    }
    assert stated.lambdas[0].where == "file (ema.model.1.lam)"
    assert stated.classes[0].where == "file (ema.names)"
    assert stated.sizes[0].where == "file (train_args.imgsz)"
    assert FACTS["preprocessing"].holds(take(stated, (1, 3, 320, 320)).facts["preprocessing"])


@pytest.mark.parametrize(
    ("network", "known"), [(DetectionModel, True), (ClassificationModel, False)]
)
def test_a_yolov5_checkpoint(network, known, tmp_path):
    """Its class is what tells the task; how its classifiers take pictures is another matter."""
    options = {"imgsz": 416, "weights": "yolov5n.pt"}
    torch.save({"model": network(), "ema": None, "opt": options}, tmp_path / "best.pt")
    found = values(load_checkpoint(tmp_path / "best.pt").stated)
    assert found["classes"] == [("person", "car")]
    assert found["sizes"] == [(416, 416)]
    assert found["levels"] == ([UNSCALED] if known else [])
    assert bool(found["fits"]) is known


def test_an_ultralytics_onnx():
    stated = read_stated(None, EXPORTED)
    assert values(stated) == {
        "lambdas": [],
        "classes": [("person", "traffic light")],
        "levels": [UNSCALED],
        "fits": [{"resize": [640, 480], **LETTERBOX}],
        "sizes": [(480, 640)],
    }
    assert stated.classes[0].where == "file (metadata names)"


@pytest.mark.parametrize(
    ("change", "what", "value"),
    [
        ({"task": "classify", "imgsz": "[224, 224]"}, "fits", [{"resize": 224, "crop": 224}]),
        ({"task": "pose", "imgsz": "640"}, "sizes", [(640, 640)]),
        ({"task": "pose"}, "levels", [UNSCALED]),
        ({"channels": "1"}, "levels", [{**UNSCALED, "mean": [0.0], "std": [1.0]}]),
        ({"task": "depth"}, "levels", []),
        ({"task": "depth"}, "fits", []),
        ({"names": "['a', 'b']"}, "classes", [("a", "b")]),
        ({"names": "{1: 'b', 0: 'a'}"}, "classes", [("a", "b")]),
        ({"names": "{0: 'a', 2: 'b'}"}, "classes", []),
        ({"names": "{0: 'a', 1: 'b\\n'}"}, "classes", []),
        ({"names": "{0: 'a', 1: 7}"}, "classes", []),
        ({"names": "a, b"}, "classes", []),
        ({"names": "{" * 9999}, "classes", []),
        ({"names": "{0: '" + "x" * 300 + "'}"}, "classes", []),
        ({"imgsz": "[0, 640]"}, "sizes", []),
        ({"imgsz": "[640, 1e9]"}, "sizes", []),
        ({"imgsz": "nan"}, "sizes", []),
        ({"stride": "[8, 16, 64]"}, "fits", [{"resize": [640, 480], **LETTERBOX,
                                             "pad_divisor": 64}]),
        ({"stride": "1e99"}, "fits", [{"resize": [640, 480], **LETTERBOX}]),
        ({"stride": "-1e99"}, "fits", [{"resize": [640, 480], **LETTERBOX}]),
    ],
)  # fmt: skip
def test_metadata_of_an_onnx(change, what, value):
    assert values(read_stated(None, {**EXPORTED, **change}))[what] == value


def test_stride_and_names_are_what_tells_it():
    assert values(read_stated(None, {"task": "detect", "imgsz": "640"}))["sizes"] == []
    old = {"stride": "32", "names": "['a', 'b']"}
    assert values(read_stated(None, old)) == {
        "lambdas": [], "classes": [("a", "b")], "levels": [], "fits": [], "sizes": []
    }  # fmt: skip

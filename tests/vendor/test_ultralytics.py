"""A trained yolov8n with SimAM, from ultralytics' own file to ultralytics' own predictor.

Wants `pip install --no-deps ultralytics torchvision opencv-python-headless requests matplotlib`
beside the tests' own packages.
"""

import ast
import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.http as http
from PIL import Image

from simam_deploy.core.specs import TensorSpec
from simam_deploy.pipeline.serve import find_sources
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source.samples.preparation import read_preparation
from tests.serve.running import serving

HERE = Path(__file__).parent
NAMES = {0: "red", 1: "green", 2: "blue"}
PRESENT = importlib.util.find_spec("ultralytics") is not None

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PRESENT, reason="ultralytics is not installed"),
]


def run(folder, *command):
    """Run Python in a process of its own: to import ultralytics changes torch."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent.parent)])
    settings = {"YOLO_CONFIG_DIR": str(folder), "YOLO_AUTOINSTALL": "false", "PYTHONPATH": paths}
    environment = {**os.environ, **settings}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def simam(folder, *arguments):
    return json.loads(run(folder, "-m", "simam_deploy", *arguments, "--json"))


def boxes(folder, file):
    printed = run(folder, str(HERE / "detector.py"), "boxes", file)
    return [np.array(rows).reshape(-1, 6) for rows in json.loads(printed.splitlines()[-1])]


def same(found, wanted, pixels, score):
    """Hold detections against others: as many, each with its like in class and place.

    Of two that are as sure either may stand first.
    """
    assert sum(map(len, wanted)) > 40
    alike(found, wanted, pixels, score)


def alike(found, wanted, pixels, score, more=0):
    for got, right in zip(found, wanted, strict=True):
        assert len(right) <= len(got) <= len(right) + more
        for box in right:
            like = got[np.abs(got[:, :4] - box[:4]).max(axis=1).argmin()]
            assert like[5] == box[5]
            np.testing.assert_allclose(like[:4], box[:4], rtol=0, atol=pixels)
            np.testing.assert_allclose(like[4], box[4], rtol=0, atol=score)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yolo")
    (folder / "yolov8n-simam.yaml").write_bytes((HERE / "yolov8n-simam.yaml").read_bytes())
    run(folder, str(HERE / "detector.py"), "train")
    simam(folder, "export", "best.pt", "--trust-pickle", "-o", "ours.onnx")
    return folder


@pytest.fixture(scope="module")
def theirs(folder):
    return boxes(folder, "theirs.onnx")


def said(path):
    props = {p.key: p.value for p in onnx.load(path).metadata_props}
    keys = ("names", "stride", "imgsz", "batch", "channels", "end2end")
    return {"task": props["task"], **{key: ast.literal_eval(props[key]) for key in keys}}


def test_the_checkpoint_gives_what_its_own_exporter_gives(folder, theirs):
    assert said(folder / "ours.onnx") == said(folder / "theirs.onnx")
    assert said(folder / "ours.onnx")["names"] == NAMES
    (output,) = onnx.load(folder / "ours.onnx").graph.output
    assert output.name == "output0"
    same(boxes(folder, "ours.onnx"), theirs, 2e-3, 1e-5)
    same(boxes(folder, "best.pt"), theirs, 2e-3, 1e-5)


@pytest.mark.parametrize("source", ["best.pt", "state.pth"])
def test_a_factory_needs_no_trust(source, folder, theirs):
    """With a bare state_dict nothing says the size, or how the weights were rounded to half."""
    given = ["--input-shape", "1x3x160x160"] if source == "state.pth" else []
    name = f"{source}.onnx"
    simam(folder, "export", source, "--model", f"{HERE}/detector.py:make", *given, "-o", name)
    close = (2e-3, 1e-5) if source == "best.pt" else (0.5, 5e-3)
    same(boxes(folder, name), theirs, *close)


@pytest.mark.parametrize("source", ["best.pt", "theirs.onnx"])
@pytest.mark.parametrize(
    ("precision", "pixels", "score"), [("fp32", 2e-3, 1e-5), ("fp16", 0.5, 5e-3)]
)
def test_every_way_gives_the_same_boxes(source, precision, pixels, score, folder, theirs):
    name = f"{source}.{precision}.onnx"
    trust = ["--trust-pickle"] if source == "best.pt" else []
    asked = ["--precision", precision, "--data", "pictures", *trust, "-o", name]
    document = simam(folder, "export", source, *asked)
    # What was trained for seconds shows too little of a SimAM beside half's own rounding.
    assert document["validation"]["passed" if precision == "fp16" else "proved"]
    assert said(folder / name) == said(folder / "theirs.onnx")
    same(boxes(folder, name), theirs, pixels, score)


def test_bfloat16_keeps_what_is_said(folder):
    """ONNX Runtime has no bfloat16 convolution on a CPU, so its predictor has none either."""
    asked = ("--precision", "bf16", "--data", "pictures", "-o", "bf16.onnx")
    assert simam(folder, "export", "ours.onnx", *asked)["precision"] == "bf16"
    assert said(folder / "bf16.onnx") == said(folder / "theirs.onnx")


def test_int8_gives_the_same_boxes(folder, theirs):
    """Nothing is left in float32 but first and last layers; the loss is what eight bits cost."""
    asked = ("--precision", "int8", "--calibration-data", "pictures", "-o", "int8.onnx")
    document = simam(folder, "export", "best.pt", "--trust-pickle", *asked)
    assert document["validation"]["proved"]
    assert json.loads((folder / "int8.json").read_text())["calibration"]["left_in_float32"] == {}
    assert said(folder / "int8.onnx") == said(folder / "theirs.onnx")
    same(boxes(folder, "int8.onnx"), theirs, 3, 0.1)


def test_an_engine_knows_its_classes_and_pictures(folder):
    pytest.importorskip("tensorrt_rtx")
    simam(folder, "build", "ours.onnx", "--target", "sm89", "-o", "ours.engine")
    facts = json.loads((folder / "ours.engine.json").read_text())
    assert facts["classes"] == list(NAMES.values())
    assert facts["preprocessing"]["pad_value"] == 114


def test_triton_is_told_names_and_pictures(folder):
    simam(folder, "export", "ours.onnx", "--format", "triton", "-o", "models")
    model = folder / "models" / "ours"
    assert (model / "labels.txt").read_text().split() == list(NAMES.values())
    assert "letterbox=centre" in (model / "config.pbtxt").read_text()
    assert said(model / "1" / "model.onnx") == said(folder / "theirs.onnx")


def test_pictures_are_served(folder, theirs):
    """As they are: the server does the letterbox, removes overlaps and moves the boxes back.

    It gives a cell's second class too, which the vendor's predictor leaves out.
    """
    found = []
    with serving(find_sources([str(folder / "ours.onnx")])) as running:
        for path in sorted((folder / "pictures").glob("*.png")):
            url = f"http://{running.http}/v2/models/ours/detect?threshold=0.25"
            with urllib.request.urlopen(url, path.read_bytes()) as answer:
                rows = json.load(answer)["detections"]
            found.append(np.array([(*r["box"], r["score"], r["index"]) for r in rows]))
    found = [rows.reshape(-1, 6) for rows in found]
    alike(found[1:], theirs[1:], 0.02, 1e-5, more=1)
    # The one picture that is scaled: OpenCV's bilinear pixels are not Pillow's.
    alike(found[:1], theirs[:1], 0.5, 5e-3, more=1)


def test_the_server_gives_what_the_file_gives(folder):
    facts = json.loads((folder / "ours.json").read_text())["preprocessing"]
    prepare = read_preparation(facts, TensorSpec("images", "float32", (1, 3, 160, 160)))
    pixels = prepare(Image.open(folder / "pictures" / "00.png"))[None]
    with serving(find_sources([str(folder / "ours.onnx")])) as running:
        client = http.InferenceServerClient(running.http)
        tensor = http.InferInput("images", pixels.shape, "FP32").set_data_from_numpy(pixels)
        served = client.infer("ours", [tensor]).as_numpy("output0")
        client.close()
    with OnnxRunner(folder / "ours.onnx") as runner:
        np.testing.assert_array_equal(served, runner.run({"images": pixels})["output0"])

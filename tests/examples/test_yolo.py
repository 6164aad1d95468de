"""examples/yolo: the boxes of its files are those of PyTorch, and lie on what was drawn."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image


def test_the_boxes_are_pytorchs(play, open_example):
    *steps, engine = open_example("yolo")
    play(steps)
    network = runpy.run_path("yolo.py")["YOLO"]()
    network.load_state_dict(torch.load("best.pt", weights_only=False)["ema"].float().state_dict())
    detect, train = runpy.run_path("detect.py"), runpy.run_path("train.py")
    picture = Image.open("picture.png")
    light, offset, scale = detect["letterbox"](picture, 96, 96)
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(light))[0].numpy()
    wanted = detect["suppress"](expected[0])
    assert len(wanted) > 1
    for box, kind, _ in wanted:
        left, top, right, bottom = (box - offset) / scale
        pixel = picture.getpixel(((left + right) // 2, (top + bottom) // 2))
        assert np.abs(pixel - train["COLOURS"][kind]).max() < 40
    for name, bound in (("yolo.onnx", 1e-5), ("yolo.fp16.onnx", 4e-3)):
        output = detect["run"](name, light, None)
        assert 0 < np.abs(output - expected).max() < bound * np.abs(expected).max()
        assert [kind for _, kind, _ in detect["suppress"](output[0])] == [k for _, k, _ in wanted]
    assert Path("served.png").read_bytes() == Path("found.png").read_bytes()
    pytest.importorskip("tensorrt_rtx", reason="the rest passed; TensorRT-RTX is missing")
    play([engine])
    facts = json.loads(Path("yolo.fp16.engine.json").read_text())
    assert facts["classes"] == ["red", "green", "blue"]
    assert facts["preprocessing"]["pad"] == "centre"

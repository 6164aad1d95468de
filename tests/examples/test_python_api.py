"""examples/python_api: what the scripts print is what the files do."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest


def test_the_files_rank_the_digits(play, open_example):
    *steps, engine = open_example("python_api")
    play(steps)
    with np.load("samples.npz") as samples:
        images, labels = samples["images"], samples["labels"]
    assert images.shape == (8, 3, 32, 32)
    scores = [_logits(name, images) for name in ("digits.onnx", "digits.fp16.onnx")]
    assert all((each.argmax(1) == labels).all() for each in scores)
    assert 0 < np.abs(scores[0] - scores[1]).max() < 4e-3 * np.abs(scores[0]).max()
    pytest.importorskip("tensorrt_rtx", reason="the rest passed; TensorRT-RTX is missing")
    play([engine])
    facts = json.loads(Path("digits.fp16.engine.json").read_text())
    assert facts["profiles"][0][0]["max"] == [16, 3, 32, 32]


def _logits(name, images):
    session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input": images})[0]

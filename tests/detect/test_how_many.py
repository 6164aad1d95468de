"""None, one and 100 detections, in PyTorch and in ONNX Runtime, and as both are read."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch

from simam_deploy.detect.decoding import find_decoder
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.prepare import for_runtime
from tests.graph.detect.test_detector import OUTPUTS, export
from tests.graph.onnx_text import run
from tests.models.detectors import tiny

MANY = replace(tiny.SETTINGS, max_proposals=80, max_detections=100, score_threshold=0.0123)
EMPTY = {"boxes": 0, "scores": 0, "labels": -1, "masks": 0}


@pytest.fixture(scope="module")
def inputs():
    """A picture, and one of no pixels, on which nothing can be found."""
    image, sizes = tiny.inputs(2)
    sizes[1] = 0
    return image, sizes


@pytest.fixture(scope="module")
def all_of_them(inputs):
    return answers(0.0, inputs)


def answers(threshold, inputs):
    model = tiny.detector(settings=replace(MANY, score_threshold=threshold))
    with torch.no_grad():
        return dict(zip(OUTPUTS, (output.numpy() for output in model(*inputs)), strict=True))


@pytest.fixture(scope="module")
def threshold_at():
    """Give the exported graph, with its one threshold set anew."""
    graph = for_runtime(typed(export(tiny.detector(settings=MANY))), 18)
    (constant,) = (
        value for value in graph.graph.initializers.values()
        if value.const_value.numpy().size == 1
        and value.const_value.numpy().item() == np.float32(MANY.score_threshold)
    )  # fmt: skip

    def at(threshold):
        like = constant.const_value.numpy()
        constant.const_value = ir.tensor(np.full_like(like, threshold), name=constant.name)
        return graph.clone()

    return at


@pytest.mark.parametrize("count", [0, 1, 100])
def test_so_many_are_found(count, inputs, all_of_them, threshold_at):
    above = {0: 1.0, 1: float(all_of_them["scores"][0, 1]), 100: 0.0}
    threshold = above[count]
    torchs = answers(threshold, inputs)
    image, sizes = (tensor.numpy() for tensor in inputs)
    got = run(threshold_at(threshold), image=image, image_size=sizes)
    onnxs = dict(zip(OUTPUTS, got, strict=True))
    for outputs in (torchs, onnxs):
        assert outputs["num_dets"].tolist() == [count, 0]
        for name, nothing in EMPTY.items():
            assert outputs[name].shape == all_of_them[name].shape
            kept = all_of_them[name][0, :count]
            np.testing.assert_allclose(outputs[name][0, :count], kept, rtol=1e-4, atol=2e-3)
            assert (outputs[name][0, count:] == nothing).all()
            assert (outputs[name][1] == nothing).all()
        _check_read(outputs, count)


def _check_read(outputs, count):
    """Every place that has something comes through decoding, and no other."""
    decode, _ = find_decoder(outputs, "m.onnx")
    found, none = decode(outputs, 0.0)
    assert len(found.scores) == len(found.masks) == count
    np.testing.assert_array_equal(found.boxes, outputs["boxes"][0, :count])
    np.testing.assert_array_equal(found.labels, outputs["labels"][0, :count])
    np.testing.assert_array_equal(found.masks, outputs["masks"][0, :count])
    assert not len(none.scores)

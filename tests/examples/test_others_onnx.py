"""examples/others_onnx: a cleaned file computes what the network behind the file did."""

import runpy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from simam_deploy import inspect_onnx


def test_the_scores_are_pytorchs(play, open_example):
    play(open_example("others_onnx"))
    network = runpy.run_path("theirs.py")["Classifier"]()
    network.load_state_dict(torch.load("theirs.pth"))
    images = torch.randn(5, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = network.eval()(images).numpy()
    for name, bound in (("ours.onnx", 1e-5), ("ours.fp16.onnx", 1e-2)):
        session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
        (scores,) = session.run(None, {"images": images.numpy()})
        assert np.abs(scores - wanted).max() < bound * np.abs(wanted).max()
        lambdas = [site.e_lambda for site in inspect_onnx(name).sites]
        assert lambdas == pytest.approx([5e-4] * 3, rel=1e-6)
    nodes = {node.op_type for node in onnx.load("ours.onnx").graph.node}
    assert "Shape" not in nodes

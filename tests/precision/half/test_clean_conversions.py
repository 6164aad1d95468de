"""Correct conversions of all kinds of networks, none of which may be refused."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from simam_deploy import NETWORKS as PUBLISHED
from simam_deploy import OnnxOptions, export_onnx, validate_models
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.prepare import plain
from simam_deploy.models.create import create
from simam_deploy.precision.rounding import rounded
from simam_deploy.runtime.graph_runner import run_model
from simam_deploy.source.options import NetworkOptions
from tests.marks import slow_but
from tests.precision.half.networks import NETWORKS, dark, settled

QUICK = (
    "detector_of_three", "masked_attention", "normalised", "padded", "equal_biases", "unet",
    "far_grid",
)  # fmt: skip
ZOO = ("cifar_resnet20", "cifar_mobilenetv2", "resnet18", "mobilenet_v2")
HALVES = pytest.mark.parametrize("precision", ["fp16", "bf16"])


def source(
    net: torch.nn.Module, folder: Path, size: int = 64, opset: int = 17, free: tuple[int, ...] = ()
) -> Path:
    """Export as most files are: by TorchScript, nothing simplified; `free` are dimensions."""
    file = folder / "network.onnx"
    axes = {"x": {d: f"d{d}" for d in free}}
    given = (torch.zeros(1, 3, size, size),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, given, str(file), dynamo=False, input_names=["x"], dynamic_axes=axes,
            opset_version=opset,
        )  # fmt: skip
    return file


@HALVES
@pytest.mark.parametrize("name", slow_but(QUICK, NETWORKS))
def test_it_is_converted_and_proved(name, precision, tmp_path):
    if (name, precision) == ("far_grid", "bf16"):
        pytest.skip("1e5 has steps of 512 in bfloat16: 1.6 times the largest value is right")
    file = source(settled(name), tmp_path)
    artifact = export_onnx(file, tmp_path / "half.onnx", onnx=OnnxOptions(precision=precision))
    report = artifact.validation
    assert report.passed
    assert report.gates
    assert report.layers


@HALVES
@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_a_published_network_of_drawn_weights(name, precision, tmp_path):
    """Its activations fade, or grow, from layer to layer: no batch norm has seen data."""
    torch.manual_seed(0)
    shape = (1, 3, 32, 32) if name.startswith("cifar") else (1, 3, 64, 64)
    torch.save(create(PUBLISHED[name]).state_dict(), tmp_path / "network.pth")
    artifact = export_onnx(
        tmp_path / "network.pth",
        onnx=OnnxOptions(precision=precision),
        network=NetworkOptions(arch=name, input_shape=shape),
    )
    assert artifact.validation.passed


@pytest.mark.parametrize("level", [0.0, 0.5], ids=["black", "blank"])
def test_a_normalised_embedding_of_a_black_frame_is_zero(level, tmp_path):
    """In half with its rounding shown; NaN before, and "validated 8 cases"."""
    file = source(dark(), tmp_path)
    artifact = export_onnx(file, tmp_path / "half.onnx", onnx=OnnxOptions(precision="fp16"))
    assert "Clip" in "".join(artifact.notes)
    x = {"x": np.full((1, 3, 64, 64), level, np.float32)}
    (y,) = run_model(rounded(plain(read_model(artifact.path))), x)
    (expected,) = run_model(plain(read_model(file)), x)
    np.testing.assert_allclose(y, expected, atol=2e-3)
    if level == 0:
        assert not y.any()


@pytest.mark.parametrize("name", ["padded", "equal_biases", "masked_attention"])
def test_what_was_written_is_validated_against_its_source(name, tmp_path):
    """The source is not simplified: its Pads and biases are nodes, the file's are in its Convs."""
    file = source(settled(name), tmp_path)
    onnx = OnnxOptions(precision="fp16")
    artifact = export_onnx(file, tmp_path / "half.onnx", onnx=onnx)
    report = validate_models(file, artifact.path)
    assert report.failures == ()
    assert report.layers

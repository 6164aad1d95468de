"""Networks of every family, small and of drawn weights: correct conversions of all pass."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from simam_deploy import NETWORKS, NetworkOptions, OnnxOptions, export_onnx
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.models.create import create
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.verify.bisect import convert
from tests.precision.half.graphs import BF16, FP16


@dataclass(frozen=True)
class Small:
    """An entry of the zoo with other widths, its input, and how many SimAM sites it has."""

    name: str
    widths: tuple[int, ...]
    shape: tuple[int, ...]
    sites: int


_THIN = (8, 8, 8, 16, 16, 24, 24, 32, 64)
SMALL = (
    Small("cifar_resnet20", (8,), (3, 32, 32), 9),
    Small("cifar_mobilenetv2", _THIN, (3, 32, 32), 17),
    Small("cifar_preresnet20", (16,), (3, 32, 32), 9),
    Small("cifar_wideresnet28x10", (4,), (3, 32, 32), 12),
    Small("cifar_resnet56", (8,), (3, 32, 32), 27),
    Small("resnet18", (16,), (3, 64, 64), 8),
    Small("resnet50", (16,), (3, 64, 64), 16),
    Small("resnet50d", (16,), (3, 64, 64), 16),
    Small("mobilenet_v2", _THIN, (3, 64, 64), 17),
    Small("wespeaker_simam_resnet34_asp", (8,), (64, 80), 16),
)
QUICK = ("cifar_resnet20", "cifar_preresnet20")


def fresh(small: Small) -> nn.Module:
    """Draw weights, and let the batch norms see what then flows, as training does."""
    torch.manual_seed(0)
    model = create(NETWORKS[small.name], widths=small.widths, num_outputs=10)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = None
    with torch.no_grad():
        model.train()(torch.randn(8, *small.shape))
    return model.eval()


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A checkpoint and its float32 export by network, made when first asked for."""
    folder, made = tmp_path_factory.mktemp("networks"), {}

    def make(small: Small) -> tuple[Path, Path]:
        if small.name not in made:
            source = folder / f"{small.name}.pth"
            torch.save({"arch": small.name, "state_dict": fresh(small).state_dict()}, source)
            network = NetworkOptions(arch=small.name, input_shape=small.shape)
            exported = export_onnx(source, onnx=OnnxOptions(simplify=False), network=network)
            made[small.name] = (source, exported.path)
        return made[small.name]

    return make


@pytest.mark.parametrize("dtype", [FP16, BF16], ids=["fp16", "bf16"])
@pytest.mark.parametrize(
    "small",
    [s if s.name in QUICK else pytest.param(s, marks=pytest.mark.slow) for s in SMALL],
    ids=lambda small: small.name,
)
def test_a_correct_conversion_passes(small, dtype, checkpoints, tmp_path):
    _, float32 = checkpoints(small)
    write_model(convert(read_model(float32), dtype, ()), tmp_path / "half.onnx")
    report = validate_models(float32, tmp_path / "half.onnx")
    assert report.passed, report.failures
    assert len(report.gates) == small.sites
    assert report.validation.worst.max_rel > 0


@pytest.mark.slow
@pytest.mark.parametrize("small", SMALL, ids=lambda small: small.name)
def test_an_export_passes_against_its_checkpoint(small, checkpoints):
    source, float32 = checkpoints(small)
    report = validate_models(source, float32, network=NetworkOptions(arch=small.name))
    assert report.passed, report.failures
    assert len(report.gates) == small.sites

"""Every golden network, from a file in its authors' layout to ONNX Runtime's outputs."""

from pathlib import Path

import pytest
import torch

from simam_deploy import NetworkOptions, export_onnx
from simam_deploy.runtime.onnx_runner import OnnxRunner
from tests.golden import CASES, Golden, golden
from tests.marks import slow_but


def official_file(case: Golden, folder: Path) -> Path:
    """Save as the authors' training scripts do: lambda in the folder's name, or nowhere."""
    keys = case.state_dict
    if case.name.startswith("cifar"):
        folder = folder / f"cifar10-{case.name[6:]}-simam-param{case.e_lambda}-nfilters16"
        file = {"epoch": 3, "arch": case.name[6:], "state_dict": keys, "best_acc": 9.0}
    elif case.name.startswith("wespeaker"):
        file = keys
    else:
        folder = folder / f"imagenet-{case.name}-simam-param{case.e_lambda}"
        keys = {k if k.startswith("backbone.") else f"module.{k}": v for k, v in keys.items()}
        file = {"epoch": 3, "arch": case.name, "state_dict": keys, "best_acc": torch.tensor(9.0)}
    folder.mkdir(exist_ok=True)
    torch.save(file, folder / "model_best.pth.tar")
    return folder / "model_best.pth.tar"


QUICK = ("cifar_mobilenetv2", "cifar_resnet20")


@pytest.mark.parametrize("name", slow_but(QUICK, CASES))
def test_the_exported_file_agrees_with_the_authors(name, tmp_path):
    case = golden(name)
    size = case.runs[0].input.shape[1:]
    artifact = export_onnx(
        official_file(case, tmp_path), tmp_path / "m.onnx", network=NetworkOptions(input_shape=size)
    )
    assert artifact.arch == case.name
    assert artifact.e_lambda == case.e_lambda
    with OnnxRunner(artifact.path) as runner:
        for run in case.runs:
            outputs = runner.run({artifact.inputs[0].name: run.input})
            # Measured: at most 3.1e-5 (resnet152); 5e-7 on the shallow networks.
            assert run.error([outputs[spec.name] for spec in runner.outputs]) <= 1e-4

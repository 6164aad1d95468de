"""examples/mmdetection_backbone: PyTorch's feature maps, with the lambda that the file states."""

import json
from pathlib import Path

import numpy as np
import torch

from simam_deploy import NETWORKS
from simam_deploy.models.create import create


def test_the_maps_are_pytorchs_with_the_files_lambda(play, open_example):
    play(open_example("mmdetection_backbone"))
    facts = json.loads(Path("backbone.json").read_text())
    assert facts["e_lambda"] == 1e-4
    with np.load("maps.npz") as found:
        maps = [found[f"stage{i}"] for i in (1, 2, 3, 4)]
        picture = torch.from_numpy(found["input"])
    assert _off(maps, 1e-4, picture) < 1e-5
    assert _off(maps, 0.1, picture) > 0.01


def _off(maps, e_lambda, picture):
    """Give the largest difference from PyTorch's, relative to each map's largest value."""
    weights = torch.load("epoch_12.pth")["state_dict"]
    network = create(NETWORKS["resnet18_backbone"], e_lambda, widths=[16])
    own = {k.removeprefix("backbone."): v for k, v in weights.items() if k.startswith("backbone.")}
    network.load_state_dict(own)
    with torch.inference_mode():
        wanted = [array.numpy() for array in network.eval()(picture)]
    pairs = zip(maps, wanted, strict=True)
    return max(np.abs(found - right).max() / np.abs(right).max() for found, right in pairs)

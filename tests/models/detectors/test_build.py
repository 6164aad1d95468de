"""Identified weights become a detector, as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from simam_deploy.errors import NetworkError
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.models.create import expected_shapes as backbone_shapes
from simam_deploy.models.detectors.build import build_detector
from simam_deploy.models.detectors.identify import identify_detector
from simam_deploy.models.zoo import NETWORKS
from tests.golden.detectors import CASES, golden_shapes
from tests.models.detectors import tiny


def test_weights_are_assigned_and_keys_are_mmdetections() -> None:
    identity, settings = tiny.identity(), tiny.SETTINGS
    weights = tiny.weights(identity)
    model = build_detector(identity, settings, weights, 0.02)
    state = model.state_dict()
    assert state.keys() == weights.keys()
    assert all(state[key].data_ptr() == weights[key].data_ptr() for key in weights)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert {m.e_lambda for m in model.modules() if isinstance(m, SimAM)} == {0.02}


def test_missing_and_misshapen_tensors() -> None:
    identity = tiny.identity()
    weights = tiny.weights(identity)
    lacking = {key: t for key, t in weights.items() if key != "rpn_head.rpn_reg.bias"}
    with pytest.raises(NetworkError, match=r"Missing key\(s\).*rpn_head.rpn_reg.bias") as caught:
        build_detector(identity, tiny.SETTINGS, lacking, 0.1)
    assert "\n" not in str(caught.value)
    wrong = weights | {"rpn_head.rpn_reg.bias": torch.zeros(3)}
    with pytest.raises(NetworkError, match="size mismatch for rpn_head.rpn_reg.bias"):
        build_detector(identity, tiny.SETTINGS, wrong, 0.1)


def test_a_stranger_is_not_left_out() -> None:
    identity = tiny.identity()
    weights = tiny.weights(identity) | {"roi_head.extra": torch.zeros(1)}
    with pytest.raises(NetworkError, match="roi_head.extra is no tensor of a Mask R-CNN"):
        build_detector(identity, tiny.SETTINGS, weights, 0.1)


def test_settings_of_other_anchors() -> None:
    settings = replace(tiny.SETTINGS, scales=(8.0, 16.0))
    with pytest.raises(NetworkError, match=r"3 anchors a cell, the settings of 6: 2 scales, 3 rat"):
        build_detector(tiny.identity(), settings, tiny.weights(tiny.identity()), 0.1)


@pytest.mark.parametrize("case", CASES)
def test_resnet_101_builds(case: str) -> None:
    heads = {key: s for key, s in golden_shapes(case).items() if not key.startswith("backbone.")}
    network = NETWORKS["resnet101_backbone"]
    shapes = {f"backbone.{key}": s for key, s in backbone_shapes(network, (64,), None).items()}
    weights = {key: torch.zeros(shape) for key, shape in (shapes | heads).items()}
    identity = identify_detector({key: tuple(tensor.shape) for key, tensor in weights.items()})
    model = build_detector(identity, replace(tiny.SETTINGS, nms_pre=20), weights, 0.1)
    outputs = model(torch.zeros(1, 3, 64, 64), torch.tensor([[64.0, 60.0]]))
    assert outputs[1].shape == (1, 12, 4)

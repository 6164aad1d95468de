"""Sizes at the SimAM sites are found without running the network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from simam_deploy.errors import UsageError
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.models.create import create
from simam_deploy.models.geometry import site_shapes, smallest_input
from simam_deploy.models.zoo import NETWORKS


def meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return create(NETWORKS[name]).eval()


def test_shapes_come_in_forward_order() -> None:
    shapes = site_shapes(meta("resnet18"), (2, 3, 224, 192))
    assert list(shapes.items())[:3] == [
        ("layer1.0.conv2.1", (2, 64, 56, 48)),
        ("layer1.1.conv2.1", (2, 64, 56, 48)),
        ("layer2.0.conv2.1", (2, 128, 28, 24)),
    ]
    assert shapes["layer4.1.conv2.1"] == (2, 512, 7, 6)
    assert len(shapes) == 8


def test_wespeaker_sites_are_frequency_by_time() -> None:
    shapes = site_shapes(meta("wespeaker_simam_resnet34_asp"), (1, 137, 80))
    assert shapes["front.layer1.0.simam"] == (1, 64, 80, 137)
    assert shapes["front.layer4.2.simam"] == (1, 512, 10, 18)


def test_the_model_is_left_as_it_was() -> None:
    model = create(NETWORKS["cifar_resnet20"]).double().eval()
    before = {name: (t.data_ptr(), t.clone()) for name, t in model.state_dict().items()}
    assert site_shapes(model, (1, 3, 32, 32))["layer3.2.conv2.1"] == (1, 64, 8, 8)
    after = model.state_dict()
    assert all(after[name].data_ptr() == pointer for name, (pointer, _) in before.items())
    assert all(torch.equal(after[name], tensor) for name, (_, tensor) in before.items())
    assert not any(module._forward_pre_hooks for module in model.modules())


# By hand: the last maps are ceil(size / 32) (ImageNet), ceil(size / 8) (CIFAR MobileNetV2) and
# ceil(size / 4) (CIFAR ResNets), and 1x1 is too small; of WeSpeaker's, 10 bins remain at 1 frame.
@pytest.mark.parametrize(
    ("name", "shape", "axes", "smallest"),
    [
        ("resnet18", (1, 3, 224, 224), (2, 3), (1, 3, 33, 33)),
        ("resnet18", (4, 3, 32, 32), (2, 3), (4, 3, 33, 33)),
        ("resnet18", (1, 3, 224, 224), (2,), (1, 3, 1, 224)),
        ("resnet50d", (1, 3, 224, 224), (2, 3), (1, 3, 33, 33)),
        ("mobilenet_v2", (1, 3, 224, 224), (2, 3), (1, 3, 33, 33)),
        ("cifar_resnet20", (1, 3, 32, 32), (2, 3), (1, 3, 5, 5)),
        ("cifar_preresnet20", (1, 3, 32, 32), (2, 3), (1, 3, 5, 5)),
        ("cifar_mobilenetv2", (1, 3, 32, 32), (2, 3), (1, 3, 9, 9)),
        ("wespeaker_simam_resnet34_asp", (2, 200, 80), (1,), (2, 1, 80)),
    ],
)
def test_smallest_input(
    name: str, shape: tuple[int, ...], axes: tuple[int, ...], smallest: tuple[int, ...]
) -> None:
    assert smallest_input(meta(name), shape, axes) == smallest


def test_one_pixel_less_is_nan_and_that_size_is_not() -> None:
    model = create(NETWORKS["cifar_resnet20"]).eval()
    assert not model(torch.rand(1, 3, 5, 5)).isnan().any()
    assert model(torch.rand(1, 3, 4, 4)).isnan().any()


def test_a_convolution_that_needs_more_decides() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 7), SimAM()).eval()
    assert smallest_input(model, (1, 3, 32, 32), (2, 3)) == (1, 3, 8, 8)


def test_shapes_that_cannot_work() -> None:
    with pytest.raises(UsageError, match=r"cannot run on an input of \(1, 4, 64, 64\): .*channel"):
        site_shapes(meta("resnet18"), (1, 4, 64, 64))
    with pytest.raises(UsageError, match=r"no size along axes \(2, 3\)"):
        smallest_input(meta("resnet18"), (1, 4, 64, 64), (2, 3))


def test_srm_needs_two_pixels_and_the_others_need_one() -> None:
    with torch.device("meta"):
        srm, se = (
            create(replace(NETWORKS["cifar_resnet20"], attention=name)).eval()
            for name in ("srm", "se")
        )
    assert smallest_input(srm, (1, 3, 32, 32), (2, 3)) == (1, 3, 5, 5)
    assert list(site_shapes(srm, (1, 3, 32, 32)))[-1] == "layer3.2.bn2.1"
    assert smallest_input(se, (1, 3, 32, 32), (2, 3)) == (1, 3, 1, 1)

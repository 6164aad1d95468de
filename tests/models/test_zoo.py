"""The table of networks."""

from __future__ import annotations

import json

import pytest

from simam_deploy.models.zoo import NETWORKS, find_network

PUBLISHED = {"imagenet": 0.1, "backbone": 0.1, "cifar": 1e-4, "wespeaker": 1e-4}


def test_names() -> None:
    assert list(NETWORKS)[:8] == [
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet50d",
        "resnext50_32x4d",
        "mobilenet_v2",
    ]
    depths = {name for name in NETWORKS if name.startswith("cifar_preresnet")}
    assert depths == {
        *(f"cifar_preresnet{depth}" for depth in (20, 32, 56, 110, 164)),
        *(f"cifar_preresnet{depth}_bottleneck" for depth in (20, 32, 56, 110)),
        "cifar_preresnet164_basic",
    }
    assert len(NETWORKS) == 40
    assert len(set(NETWORKS.values())) == 40


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("cifar_resnet20", (3, 3, 3)),
        ("cifar_resnet56", (9, 9, 9)),
        ("cifar_resnet56_bottleneck", (6, 6, 6)),
        ("cifar_preresnet110", (18, 18, 18)),
        ("cifar_preresnet110_bottleneck", (12, 12, 12)),
        ("cifar_resnet164", (18, 18, 18)),
        ("cifar_resnet164_basic", (27, 27, 27)),
        ("cifar_wideresnet28x10", (4, 4, 4)),
        ("cifar_wideresnet40x10", (6, 6, 6)),
    ],
)
def test_blocks(name: str, blocks: tuple[int, ...]) -> None:
    assert NETWORKS[name].blocks == blocks
    assert NETWORKS[name].bottleneck == (name.endswith("_bottleneck") or name == "cifar_resnet164")


@pytest.mark.parametrize("name", NETWORKS)
def test_family_facts(name: str) -> None:
    network = find_network(name)
    family = network.family
    assert family.e_lambda == PUBLISHED[family.name]
    assert json.loads(json.dumps(family.preprocessing)) == family.preprocessing
    assert all(1 <= axis <= len(family.input_shape) for axis, _ in family.dynamic_axes)
    assert (network.num_outputs is None) == (len(family.output_names) == 4)

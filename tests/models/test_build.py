"""Modules are built strictly, in place, around the weights they are given."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from simam_deploy.errors import NetworkError
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.models.build import build
from simam_deploy.models.create import create, expected_shapes
from simam_deploy.models.identify import Identity, identify
from simam_deploy.models.networks.wespeaker import AttentivePooling
from simam_deploy.models.spelling import TORCHVISION
from simam_deploy.models.zoo import NETWORKS

NETWORK = NETWORKS["cifar_preresnet20"]


def weights_of(name: str, widths: tuple[int, ...]) -> dict[str, Tensor]:
    shapes = expected_shapes(NETWORKS[name], widths, NETWORKS[name].num_outputs)
    generator = torch.Generator().manual_seed(0)
    return {
        key: 0.1 + 0.1 * torch.rand(shape, generator=generator) if shape else torch.tensor(5)
        for key, shape in shapes.items()
    }


def identity_of(weights: dict[str, Tensor], arch: str | None = None) -> Identity:
    return identify({key: tuple(tensor.shape) for key, tensor in weights.items()}, arch)


def lambdas(model: nn.Module) -> list[float]:
    return [module.e_lambda for module in model.modules() if isinstance(module, SimAM)]


def test_weights_are_taken_not_copied() -> None:
    weights = weights_of("cifar_preresnet20", (16,))
    model = build(identity_of(weights), weights, 0.25)
    assert all(
        tensor.data_ptr() == weights[name].data_ptr() for name, tensor in model.state_dict().items()
    )
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert lambdas(model) == [0.25] * 9


def test_missing_counters_are_zero() -> None:
    weights = weights_of("cifar_preresnet20", (16,))
    old = {key: t for key, t in weights.items() if not key.endswith("num_batches_tracked")}
    counter = build(identity_of(old), old, 0.1).state_dict()["bn.num_batches_tracked"]
    assert counter.shape == ()
    assert counter.item() == 0


@pytest.mark.parametrize(("name", "width"), [("resnet18", 8), ("cifar_resnet20_bottleneck", 4)])
def test_plain_keys_give_the_same_network(name: str, width: int) -> None:
    weights = weights_of(name, (width,))
    plain = {TORCHVISION.respell(key): tensor for key, tensor in weights.items()}
    x = torch.rand(2, 3, 40, 40)
    official = build(identity_of(weights), weights, 0.1)(x)
    assert official.isfinite().all()
    assert torch.equal(build(identity_of(plain, name), plain, 0.1)(x), official)


def test_a_backbone_leaves_the_rest_of_the_detector() -> None:
    weights = {f"backbone.{k}": t for k, t in weights_of("resnet18_backbone", (8,)).items()}
    weights["neck.conv.weight"] = torch.ones(1)
    maps = build(identity_of(weights), weights, 0.1)(torch.rand(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (1, 8, 16, 24),
        (1, 16, 8, 12),
        (1, 32, 4, 6),
        (1, 64, 2, 3),
    ]


def test_what_does_not_fit_the_identity_is_refused() -> None:
    weights = weights_of("cifar_preresnet20", (16,))
    identity = identity_of(weights)
    with pytest.raises(NetworkError, match=r"^other\.weight is no tensor of cifar_preresnet20$"):
        build(identity, weights | {"other.weight": torch.ones(1)}, 0.1)
    lacking = {key: t for key, t in weights.items() if key != "linear.bias"}
    with pytest.raises(
        NetworkError, match=r"Missing key\(s\) in state_dict: \"linear\.bias\"\. ?$"
    ):
        build(identity, lacking, 0.1)
    with pytest.raises(NetworkError, match=r"size mismatch for linear\.bias") as caught:
        build(identity, weights | {"linear.bias": torch.ones(3)}, 0.1)
    assert "\n" not in str(caught.value)


def test_create_makes_the_published_network() -> None:
    model = create(NETWORK)
    assert model.training
    assert lambdas(model) == [1e-4] * 9
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert create(NETWORK, 4.0, (8,), 3)(torch.rand(2, 3, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize("name", ["cifar_wideresnet28x10", "cifar_mobilenetv2", "resnet50d"])
def test_other_sizes_give_one_row_an_image(name: str) -> None:
    with torch.device("meta"):
        model = create(NETWORKS[name]).eval()
        for size in (64, 71):
            assert model(torch.empty(1, 3, size, size)).shape == (1, NETWORKS[name].num_outputs)


def test_constant_features_have_the_least_deviation() -> None:
    pooled = AttentivePooling(6).eval()(torch.rand(2, 3, 2, 1).expand(2, 3, 2, 50))
    assert torch.allclose(pooled[:, 6:], torch.full((2, 6), 1e-5**0.5))


# Places of SimAM, counted by the authors' own code.
SITES = {
    "resnet18": 8,
    "resnet34": 16,
    "resnet50": 16,
    "resnet101": 33,
    "resnet152": 50,
    "resnext50_32x4d": 16,
    "resnet50d": 16,
    "mobilenet_v2": 17,
    "cifar_wideresnet28x10": 12,
    "cifar_wideresnet40x10": 18,
    "cifar_mobilenetv2": 17,
    "wespeaker_simam_resnet34_asp": 16,
    "wespeaker_simam_resnet100_asp": 49,
}


@pytest.mark.parametrize("name", SITES)
def test_simam_stands_in_every_block(name: str) -> None:
    with torch.device("meta"):
        assert lambdas(create(NETWORKS[name])) == [NETWORKS[name].family.e_lambda] * SITES[name]


# The entries the facts of the published checkpoints give, counters included.
ENTRIES = {
    "resnet18": 122,
    "resnet34": 218,
    "resnet50": 320,
    "resnet101": 626,
    "resnet152": 932,
    "resnext50_32x4d": 320,
    "resnet50d": 332,
    "mobilenet_v2": 314,
    "wespeaker_simam_resnet34_asp": 227,
    "wespeaker_simam_resnet100_asp": 623,
}


@pytest.mark.parametrize("name", ENTRIES)
def test_entries(name: str) -> None:
    network = NETWORKS[name]
    assert len(expected_shapes(network, network.widths, network.num_outputs)) == ENTRIES[name]

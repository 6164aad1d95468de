"""Grad-CAM against what was computed by hand, and of networks that are awkward to differentiate."""

import pytest
import torch
from torch import nn

from simam_deploy import InputError, UsageError
from simam_deploy.models.gradcam import grad_cam

X = [[[1.0, -2.0], [3.0, 0.0]]]


class Two(nn.Module):
    """Two layers in float64: two maps, x and -x, cut off at 0, averaged and weighed."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 1, bias=False)
        self.cut = nn.ReLU(inplace=True)
        self.classes = nn.Linear(2, 2, bias=False)
        self.unused = nn.Conv2d(1, 2, 1)
        self.double()
        with torch.no_grad():
            self.maps.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
            self.classes.weight.copy_(torch.tensor([[2.0, 1.0], [1.0, 4.0]]))

    def forward(self, x):
        self.unused(x)
        return (self.classes(self.cut(self.maps(x)).mean((2, 3))),)


def of(network, layers, index=0, x=X):
    inputs = [torch.tensor([x], dtype=torch.float64)]
    return grad_cam(network, inputs, layers, lambda outputs: outputs[0][0, index])


def test_by_hand():
    """A1 = x, A2 = -x. y0 = 2 mean(relu A1) + mean(relu A2), so dy0/dA1 is 2/4 where x > 0, at two
    pixels of four, and dy0/dA2 is 1/4 where x < 0, at one. alpha = (1/4, 1/16), and the sum is
    (1/4 - 1/16) x. y1 = mean(relu A1) + 4 mean(relu A2): alpha = (1/8, 1/4), the sum -x/8."""
    assert of(Two(), ["maps"], 0)["maps"].tolist() == [[3 / 16, 0], [9 / 16, 0]]
    assert of(Two(), ["maps"], 1)["maps"].tolist() == [[0, 1 / 4], [0, 0]]


def test_by_hand_behind_the_activation():
    """There the gradient is the same all over: alpha = (2/4, 1/4) on relu(x) and relu(-x)."""
    assert of(Two(), ["cut"], 0)["cut"].tolist() == [[1 / 2, 1 / 2], [3 / 2, 0]]


def test_several_layers_are_as_each_alone():
    together = of(Two(), ["maps", "cut"])
    assert list(together) == ["maps", "cut"]
    for name, each in together.items():
        assert torch.equal(each, of(Two(), [name])[name])


def test_a_layer_that_the_score_hangs_not_on_has_none():
    assert of(Two(), ["unused", "maps"]).keys() == {"maps"}


class Twice(Two):
    def forward(self, x):
        return (self.classes(self.maps(self.maps(x)[:, :1] * 3).mean((2, 3))),)


def test_of_a_layer_that_runs_twice_the_last_counts():
    """Its last maps are 3 x and -3 x; y0 = 2 mean(A1) + mean(A2): alpha = (1/2, 1/4)."""
    assert of(Twice(), ["maps"])["maps"].tolist() == [[3 / 4, 0], [9 / 4, 0]]


class Undecided(Two):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class Inferring(Two):
    @torch.inference_mode()
    def forward(self, x):
        return super().forward(x)


class OneWay(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()


class Custom(Two):
    def forward(self, x):
        return (OneWay.apply(*super().forward(x)),)


class Odd(Two):
    def forward(self, x):
        self.unused(x.flatten(2).sum(2).reshape(1, 1, 1, 1).expand(3, 1, 1, 1))
        return super().forward(x)


@pytest.mark.parametrize(
    ("network", "layer", "error", "words"),
    [
        (Two(), "mapps", UsageError, "there is no layer 'mapps': the nearest names are maps"),
        (Two(), "", UsageError, "there is no layer ''"),
        (Two(), "classes", InputError, r"layer classes gives \(1, 2\), no maps \(1, K, h, w\)"),
        (Odd(), "unused", InputError, r"layer unused gives \(3, 2, 1, 1\), no maps \(1, K"),
        (Custom(), "maps", InputError, "the network cannot be differentiated: You must impl"),
    ],
)
def test_what_cannot_be(network, layer, error, words):
    with pytest.raises(error, match=words):
        of(network, [layer])
    assert not any(part._forward_hooks for part in network.modules())


@pytest.mark.parametrize("network", [Undecided(), Inferring()])
def test_a_network_that_lets_nothing_be_differentiated_has_no_map(network):
    assert of(network, ["maps"]) == {}


def test_the_network_is_left_as_it_was():
    network = Two().requires_grad_(False)
    of(network, ["maps"])
    assert not any(part._forward_hooks for part in network.modules())
    assert all(each.grad is None for each in network.parameters())

"""A network of somebody's own, SimAM written three ways, as users have them."""

import torch
from torch import nn


class SimamModule(nn.Module):
    def __init__(self, channels=None, e_lambda=1e-4):
        super().__init__()
        self.activaton = nn.Sigmoid()
        self.lam = e_lambda

    def forward(self, x):
        n = x.shape[2] * x.shape[3] - 1
        d = (x - x.mean(dim=[2, 3], keepdim=True)).pow(2)
        y = d / (4 * (d.sum(dim=[2, 3], keepdim=True) / n + self.lam)) + 0.5
        return x * self.activaton(y)


class AttentionByVar(nn.Module):
    def forward(self, t):
        d = t - t.mean((2, 3), keepdim=True)
        v = t.var((2, 3), keepdim=True)
        return torch.sigmoid(0.5 + d * d / (4 * v + 0.4)) * t


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.attention = SimamModule(8)
        self.deep = nn.Conv2d(8, 16, 3, 2, 1)
        self.by_var = AttentionByVar()
        self.head = nn.Conv2d(16, 5, 1)
        self.small = nn.Conv2d(8, 5, 1)

    def forward(self, x):
        a = self.attention(torch.relu(self.stem(x)))
        b = self.by_var(self.deep(a))
        return {"deep": self.head(b), "shallow": [self.small(a)]}


class AlmostSimam(nn.Module):
    """Biased: divides by H*W."""

    def forward(self, x):
        d = (x - x.mean((2, 3), keepdim=True)) ** 2
        return x * torch.sigmoid(d / (4 * (d.mean((2, 3), keepdim=True) + 1e-4)) + 0.5)


def make():
    torch.manual_seed(0)
    return Net()


def make_almost():
    return nn.Sequential(nn.Conv2d(3, 4, 1), AlmostSimam())


def not_a_module():
    return 3


def fails():
    raise RuntimeError("no such config")


def make_one_site():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), SimamModule())


def held():
    """As an ordinary YOLO holds its layers: all keys begin with `model.`."""

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = make()

        def forward(self, x):
            return self.model(x)

    return Holder()

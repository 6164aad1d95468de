"""A detector with the structure of ultralytics' own, which is not needed to run it.

The head gives what is trained on beside its decoded boxes until it is told that it is exported, and
keeps the grid of its cells until a picture of another shape comes.
"""

import torch
from torch import nn

from tests.source.detector import SimamModule

SIZE = 64
NAMES = {0: "red", 1: "green", 2: "it's blue"}


def conv(channels, out):
    return nn.Sequential(nn.Conv2d(channels, out, 3, 2, 1), nn.BatchNorm2d(out), nn.SiLU())


class Detect(nn.Module):
    export = False
    format = None
    dynamic = False
    shape = None
    anchors = strides = torch.empty(0)

    def __init__(self, classes, channels, stride):
        super().__init__()
        self.stride = stride
        self.heads = nn.ModuleList(nn.Conv2d(c, 4 + classes, 1) for c in channels)

    def forward(self, maps):
        raw = [head(x) for head, x in zip(self.heads, maps, strict=True)]
        shape = maps[0].shape
        if self.dynamic or self.shape != shape:
            self.anchors, self.strides = self.grid(maps)
            self.shape = shape
        flat = torch.cat([x.flatten(2) for x in raw], 2)
        centre = (flat[:, :2].tanh() + self.anchors) * self.strides
        sides = flat[:, 2:4].exp() * self.strides
        decoded = torch.cat([centre, sides, flat[:, 4:].sigmoid()], 1)
        return decoded if self.export else (decoded, {"boxes": flat[:, :4], "feats": raw})

    def grid(self, maps):
        anchors, strides = [], []
        for x, stride in zip(maps, self.stride, strict=True):
            rows, columns = (torch.arange(n, device=x.device) + 0.5 for n in x.shape[2:])
            at = torch.meshgrid(rows, columns, indexing="ij")
            anchors.append(torch.stack([at[1], at[0]]).flatten(1))
            strides.append(torch.full((1, x.shape[2] * x.shape[3]), float(stride)))
        return torch.cat(anchors, 1), torch.cat(strides, 1)


class DetectionModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.names = dict(NAMES)
        self.stride = torch.tensor([4.0, 8.0])
        self.args = {"task": "detect", "imgsz": SIZE}
        self.model = nn.ModuleList(
            [
                nn.Sequential(conv(3, 8), conv(8, 8), SimamModule()),
                nn.Sequential(conv(8, 16), SimamModule()),
                Detect(len(NAMES), (8, 16), self.stride),
            ]
        )

    def forward(self, x):
        fine = self.model[0](x)
        return self.model[-1]([fine, self.model[1](fine)])


def make():
    """Drawn weights, and the statistics of drawn pictures."""
    torch.manual_seed(0)
    network = DetectionModel()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        network.train()(torch.rand(8, 3, SIZE, SIZE))
    return network.eval()


def checkpoint(network):
    """What its trainer leaves."""
    return {
        "epoch": -1,
        "model": None,
        "ema": network.half(),
        "train_args": {"task": "detect", "imgsz": SIZE, "data": "squares.yaml"},
        "version": "8.4.0",
    }

"""Somebody's own networks around a SimAM of their own: nothing of ours, and of torch alone.

Each class is a factory without arguments, as `--model networks.py:Detector` wants. Weights and what
they are trained for: `weights.py`.
"""

import torch
from torch import nn
from torch.nn import functional

CLASSES = 4
SIDE = 640.0
"""Boxes are told in pixels of a frame of this side, whatever the input's size."""


class SimAM(nn.Module):
    def __init__(self, e_lambda=1e-4):
        super().__init__()
        self.e_lambda = e_lambda

    def forward(self, x):
        n = x.shape[2] * x.shape[3] - 1
        d = (x - x.mean(dim=[2, 3], keepdim=True)).pow(2)
        v = d.sum(dim=[2, 3], keepdim=True) / n
        return x * torch.sigmoid(d / (4 * (v + self.e_lambda)) + 0.5)


def block(before, after, stride=1):
    """The Conv-SimAM-BN-SiLU that most of the networks are made of."""
    conv = nn.Conv2d(before, after, 3, stride, 1)
    return nn.Sequential(conv, SimAM(), nn.BatchNorm2d(after), nn.SiLU())


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.body = block(3, 8, 2), block(8, 16, 2)
        self.deep, self.head = block(16, 16), nn.Linear(16, CLASSES)

    def embed(self, x):
        return self.deep(self.body(self.stem(x))).mean((2, 3))

    def forward(self, x):
        return self.head(self.embed(x))


class UNet(nn.Module):
    """Two planes at the input's size: background and shape."""

    def __init__(self):
        super().__init__()
        self.fine, self.middle, self.coarse = block(3, 8), block(8, 12, 2), block(12, 16, 2)
        self.up, self.out = block(28, 12), block(20, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        fine = self.fine(x)
        middle = self.middle(fine)
        up = self.up(torch.cat([middle, larger(self.coarse(middle))], 1))
        return self.head(self.out(torch.cat([fine, larger(up)], 1)))


def larger(x):
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Segmenter(nn.Module):
    """As the U-Net, without ever leaving the input's size."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(block(3, 8), block(8, 8)), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        return self.head(self.body(x))


class Detector(nn.Module):
    """One output (N, 4 + classes, cells), a cell 8 pixels: boxes 0..640 beside scores 0..1."""

    def __init__(self):
        super().__init__()
        self.cells = nn.Sequential(
            block(3, 8, 2), block(8, 16, 2), block(16, 16, 2), nn.Conv2d(16, 4 + CLASSES, 1)
        )

    def parts(self, x):
        """Boxes (N, 4, cells) and scores (N, classes, cells)."""
        y = self.cells(x).flatten(2).sigmoid()
        return y[:, :4] * SIDE, y[:, 4:]

    def forward(self, x):
        return torch.cat(self.parts(x), 1)


class TwoOutputs(Detector):
    def forward(self, x):
        return self.parts(x)


class ThreeOutputs(Detector):
    """Boxes, scores and the best class of every cell."""

    def forward(self, x):
        boxes, scores = self.parts(x)
        return boxes, scores, scores.argmax(1)


class TopK(Detector):
    """CenterNet's way: the eight best scores, their boxes, and the classes that they are of."""

    def forward(self, x):
        boxes, scores = self.parts(x)
        best, where = scores.flatten(1).topk(8)
        cells = scores.shape[2]
        found = boxes.gather(2, (where % cells)[:, None].expand(-1, 4, -1))
        return found, best, torch.div(where, cells, rounding_mode="floor")


class Separate(Detector):
    """What a NonMaxSuppression takes: boxes (N, cells, 4) as corners, scores."""

    def forward(self, x):
        boxes, scores = self.parts(x)
        middle, size = boxes[:, :2], boxes[:, 2:]
        corners = torch.cat([middle - size / 2, middle + size / 2], 1)
        return corners.transpose(1, 2), scores


class Encoder(nn.Module):
    """A list of feature maps."""

    def __init__(self):
        super().__init__()
        self.steps = nn.ModuleList([block(3, 8, 2), block(8, 16, 2), block(16, 16, 2)])

    def forward(self, x):
        maps = []
        for step in self.steps:
            x = step(x)
            maps.append(x)
        return maps


class InPlace(Classifier):
    """Preprocesses in place: writes into the caller's input."""

    def forward(self, x):
        return super().forward(x.div_(2).sub_(0.1))


class OutOfPlace(Classifier):
    """The same without writing."""

    def forward(self, x):
        return super().forward(x / 2 - 0.1)


class Normed(Classifier):
    """An embedding normalised with an eps that half flushes to zero; a blank frame gives 0."""

    def forward(self, x):
        lit = (x.abs().amax((1, 2, 3)) > 0)[:, None]
        return functional.normalize(torch.relu(self.embed(x)) * lit, eps=1e-12)


class DropoutLeft(Classifier):
    """Dropout that forward itself puts into training mode."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.2)

    def forward(self, x):
        return self.head(self.dropout.train()(self.embed(x)))


class DropoutForgotten(Classifier):
    """F.dropout without its flag, whose default is training."""

    def forward(self, x):
        return self.head(functional.dropout(self.embed(x), 0.2))


class Noisy(Classifier):
    def forward(self, x):
        embedding = self.embed(x)
        return self.head(embedding * torch.bernoulli(torch.full_like(embedding, 0.9)))


class Dead(Classifier):
    """Nothing that is drawn gets over the threshold."""

    def forward(self, x):
        return torch.relu(super().forward(x) - 1e4)


class Constant(Classifier):
    """One output lives; the other is the same whatever is shown."""

    def forward(self, x):
        logits = super().forward(x)
        return logits, torch.relu(logits - 1e4) + 1


class EqualBiases(Classifier):
    """Two layers of one bias, which exporters write once."""

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.body[0].bias)
        nn.init.zeros_(self.deep[0].bias)

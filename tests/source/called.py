"""Networks around one SimAM that differ in how they are called, what they return and how made.

Each class is a factory, as `--model called.py:Pair` wants.
"""

import dataclasses
import functools
from collections import OrderedDict, namedtuple

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tests.nets.networks import SimAM


class Small(nn.Module):
    """Pictures (N, 3, H, W) to (N, 3)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.attention = nn.Conv2d(3, 4, 3, 2, 1), SimAM()
        self.head = nn.Linear(4, 3)
        self.eval()

    def embed(self, x):
        return self.head(self.attention(self.stem(x)).mean((2, 3)))

    def forward(self, x):
        return self.embed(x)


class Pair(Small):
    """Siamese: one network for two pictures; keys that inputs and layers have too."""

    def forward(self, left, right):
        a, b = self.embed(left), self.embed(right)
        return {"left": a, "mean": b, "distance": (a - b).abs().sum(1)}


class Deep(Pair):
    """Siamese, with layers enough that some are neither the first nor the last."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(self.stem, nn.ReLU(), nn.Conv2d(4, 4, 3, 1, 1))
        self.eval()


class Star(Pair):
    """As wrapped and parallel modules are called."""

    def forward(self, *inputs):
        return super().forward(*inputs)


class OnlyKeywords(Pair):
    def forward(self, **inputs):
        return super().forward(inputs["left"], inputs["right"])


class Keyword(Pair):
    def forward(self, right, scale=1.0, *, left, **more):
        return super().forward(left * scale, right)


def decorated(forward):
    @functools.wraps(forward)
    def wrapper(*args, **kwargs):
        return forward(*args, **kwargs)

    return wrapper


class Decorated(Pair):
    @torch.no_grad()
    @decorated
    def forward(self, left, right):
        return super().forward(left, right)


MIXED = (
    "limit:float32",
    "picture:uint8:2x16x16x3",
    "mask:bool:2x16x16",
    "tokens:int64:2x5",
    "anchors:float32:1x4",
)
"""What `Mixed` takes."""


class Mixed(Small):
    """A picture in bytes, a mask, tokens, anchors without a batch, and a number."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 3)

    def forward(self, limit, picture, mask, tokens, anchors):
        x = picture.permute(0, 3, 1, 2) / 255 * mask[:, None]
        return (self.embed(x) + self.table(tokens).sum(1)) * limit, anchors * limit


Boxes = namedtuple("Boxes", "corners scores")


@dataclasses.dataclass
class Found:
    boxes: Boxes
    aux: list
    loss: object = None


class ModelOutput(OrderedDict):
    """As transformers has it: a dict that leaves out what is None."""


RESULTS = {
    "tensor": lambda y: y,
    "tuple": lambda y: (y, [2 * y]),
    "single": lambda y: [y],
    "dict": lambda y: {"logits": y, "aux": (2 * y, {"x": 3 * y})},
    "numbers": lambda y: {8: y, 16: 2 * y},
    "dataclass": lambda y: Found(Boxes(y, 2 * y), [3 * y]),
    "namedtuple": lambda y: Boxes(y, 2 * y),
    "model output": lambda y: ModelOutput(logits=y),
    "among others": lambda y: (None, y, 1.5, {"total": y.sum()}),
    "returned by torch": lambda y: y.max(1),
}


class Returns(Small):
    """Whatever a test wants it to return."""

    wanted = staticmethod(RESULTS["tensor"])

    def forward(self, x):
        return self.wanted(self.embed(x))


class Twice(Small):
    """One tensor under two keys, its input, and the names of what is inside."""

    def forward(self, x):
        y = self.embed(x)
        return {"linear": y, "again": y, "x": x, "stem.weight": 2 * y, "sigmoid": y.sigmoid()}


class CastsToHalf(Small):
    def forward(self, x):
        return super().forward(x.half())


class Doubled(Small):
    """With a constant and a buffer in double, which it was made in."""

    def __init__(self):
        super().__init__()
        self.register_buffer("std", torch.full((1, 3, 1, 1), 0.7), persistent=False)

    def forward(self, x):
        mean = torch.from_numpy(np.array([0.1, 0.2, 0.3]))
        return super().forward((x.to(torch.float64) - mean[:, None, None]) / self.std).double()


class PartInHalf(Small):
    """Takes float32, for all but one of its weights are."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.7, dtype=torch.float16))

    def forward(self, x):
        return super().forward(x) * self.gain


def part():
    return PartInHalf()


def averaged():
    return AveragedModel(Small())


def half():
    return CastsToHalf().half()


def double():
    return Doubled().double()


def bfloat():
    return Small().bfloat16()


class Head(nn.Module):
    """A detector's: what is deployed where `export` is set, else what is trained on too."""

    export = False

    def __init__(self):
        super().__init__()
        self.export = False

    def forward(self, x):
        return x if self.export else (x, [x, 2 * x])


class Detects(Small):
    def __init__(self):
        super().__init__()
        self.detect = Head()

    def forward(self, x):
        return self.detect(self.embed(x))


class DetectsByClass(Detects):
    """Its head's flag is the class's, as a detector's package has it."""

    def __init__(self):
        super().__init__()
        del self.detect.export


class ByItsCode(Small):
    """A pickle of it holds a call, and no weights."""

    def __reduce__(self):
        return ByItsCode, ()


class HoldsParallel(Small):
    """A layer that is wrapped by itself, for GPUs that are not there."""

    def __init__(self):
        super().__init__()
        self.stem = nn.DataParallel(self.stem)
        self.stem.device_ids = [0, 1]
        self.stem.src_device_obj = torch.device("cuda:0")


def scripted():
    return torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), SimAM()))


class HoldsScript(Small):
    def __init__(self):
        super().__init__()
        self.attention = torch.jit.script(self.attention)


class Autocasts(Small):
    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(x)

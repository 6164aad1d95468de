"""Weights for the networks: drawn, with batch norms that saw data, or trained on drawn shapes.

All is seeded, and of one machine: a file of weights is made once for a folder.
"""

import functools
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tests.nets import networks

SIZE = 64
KINDS = ("drawn", "trained")
CELL = 8


def shapes(count, seed=0, size=SIZE):
    """Draw a square, a disc, a plus or stripes on each picture: pictures, classes, masks, boxes.

    Boxes are (middle x, middle y, width, height) as fractions of the picture.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.integers(networks.CLASSES, size=count)
    radii = rng.uniform(0.15, 0.3, count)
    middles = rng.uniform(0.3, 0.7, (count, 2))
    masks = np.stack([_mask(*each, size) for each in zip(kinds, radii, middles, strict=True)])
    colours = rng.uniform(0.5, 2, (count, 3, 1, 1)) * rng.choice([-1, 1], (count, 3, 1, 1))
    pictures = 0.3 * rng.standard_normal((count, 3, size, size)) + colours * masks[:, None]
    boxes = np.concatenate([middles, 2 * radii[:, None], 2 * radii[:, None]], 1)
    return pictures.astype(np.float32), kinds, masks, boxes.astype(np.float32)


def _mask(kind, radius, middle, size):
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    x, y = np.abs(x - middle[0]), np.abs(y - middle[1])
    square = np.maximum(x, y) < radius
    drawn = (
        square,
        np.hypot(x, y) < radius,
        square & (np.minimum(x, y) < radius / 3),
        square & (np.floor(6 * y / radius) % 2 == 0),
    )
    return drawn[kind]


def _cells(masks):
    """Tell which cells of 8 x 8 pixels the shape fills for the most part."""
    return functional.avg_pool2d(torch.from_numpy(masks).float()[:, None], CELL)[:, 0] > 0.3


def _classify(output, kinds, masks, boxes):
    return functional.cross_entropy(output, torch.from_numpy(kinds))


def _segment(output, kinds, masks, boxes):
    return functional.cross_entropy(output, torch.from_numpy(masks).long())


def _detect(output, kinds, masks, boxes):
    """Score each cell of a shape with its class, and take its box from there."""
    cells = _cells(masks).flatten(1)
    wanted = (
        functional.one_hot(torch.from_numpy(kinds), networks.CLASSES)[:, :, None] * cells[:, None]
    )
    scores = functional.binary_cross_entropy(output[:, 4:], wanted.float())
    off = (output[:, :4] / networks.SIDE - torch.from_numpy(boxes)[:, :, None]).abs()
    return scores + (off * cells[:, None]).sum() / cells.sum() / 4


_LOSSES = {
    networks.Classifier: (_classify, 200),
    networks.UNet: (_segment, 30),
    networks.Segmenter: (_segment, 60),
    networks.Detector: (_detect, 200),
}
"""What each is trained for, and steps of 16 pictures that take some seconds."""


def settle(network):
    """Have the batch norms measure their statistics on drawn pictures."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.from_numpy(shapes(32)[0]))
    return network.eval()


def train(network, loss, steps):
    """Train on drawn shapes, 16 a step."""
    optimiser = torch.optim.Adam(network.train().parameters(), lr=0.01)
    for step in range(steps):
        pictures, *wanted = shapes(16, seed=step + 1)
        optimiser.zero_grad()
        loss(network(torch.from_numpy(pictures)), *wanted).backward()
        optimiser.step()
    return settle(network)


def make(name, kind="drawn"):
    """Give a network in eval mode; those that differ in their outputs alone share weights."""
    torch.manual_seed(0)
    cls = getattr(networks, name)
    base = next((b for b in _LOSSES if issubclass(cls, b)), cls)
    network = settle(base())
    if kind == "trained":
        train(network, *_LOSSES[base])
    made = cls()
    made.load_state_dict(network.state_dict())
    return made.eval()


@functools.cache
def weights(folder: Path, name: str, kind: str = "drawn") -> Path:
    """Write the weights of a network into a folder, once."""
    path = folder / f"{name}-{kind}.pth"
    torch.save(make(name, kind).state_dict(), path)
    return path

"""Photographs with paper stickers on them: discs, squares and triangles, of a colour each."""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

CLASSES = ("disc", "square", "triangle")
COLOURS = np.array([(230, 60, 40), (245, 205, 30), (200, 40, 170)])


class Stuck(NamedTuple):
    """A picture, and what is stuck on it.

    Attributes:
        picture: (H, W, 3) uint8.
        boxes: (n, 4) float32, x1 y1 x2 y2.
        labels: (n,) int64.
        masks: (n, H, W) bool.
    """

    picture: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray


@functools.cache
def photograph(name: str) -> Image.Image:
    """Open a photograph of scikit-learn's, 640 x 427."""
    return Image.fromarray(load_sample_image(name))


def piece(side: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a square out of one of two photographs, and scale it to (side, side, 3)."""
    whole = photograph(rng.choice(["china.jpg", "flower.jpg"]))
    cut = rng.integers(side, whole.height + 1)
    left, top = (rng.integers(0, most - cut + 1) for most in whole.size)
    scaled = whole.resize((side, side), box=(left, top, left + cut, top + cut))
    return np.asarray(scaled)[:, :: rng.choice([-1, 1])]


def stick(picture: np.ndarray, rows: int, columns: int, rng: np.random.Generator) -> Stuck:
    """Put one sticker into each cell of a grid over a picture."""
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    labels = rng.integers(len(CLASSES), size=rows * columns)
    masks = np.zeros((len(labels), *picture.shape[:2]), bool)
    picture = picture.astype(float)
    for number, (label, mask) in enumerate(zip(labels, masks, strict=True)):
        radius = rng.uniform(0.2, 0.42) * min(height, width)
        inside = rng.uniform(radius, [height - radius, width - radius])
        y, x = inside + np.array([number // columns * height, number % columns * width])
        down, across = (np.arange(side)[:, None] + 0.5 for side in mask.shape)
        mask[:] = _shape(label, down - y, (across - x).T, radius)
        picture[mask] = COLOURS[label] * rng.uniform(0.75, 1.1) + rng.normal(0, 6, 3)
    return Stuck(
        picture.clip(0, 255).astype(np.uint8), np.stack([*map(_box, masks)]), labels, masks
    )


def _shape(label: int, y: np.ndarray, x: np.ndarray, radius: float) -> np.ndarray:
    """Tell which pixels, given by their way from the middle, a sticker covers."""
    if CLASSES[label] == "disc":
        return np.hypot(y, x) < radius
    if CLASSES[label] == "square":
        return np.maximum(abs(y), abs(x)) < 0.85 * radius
    return (y < radius) & (2 * abs(x) < y + radius)


def _box(mask: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)

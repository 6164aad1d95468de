"""Train the detector for some seconds on drawn boxes: writes best.pt, pictures/ and picture.png."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from yolo import YOLO

SIDE, BATCH, STEPS = 96, 16, 250
COLOURS = np.array([(210, 50, 50), (50, 170, 70), (60, 90, 210)])


def draw(height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw up to three boxes on noise.

    Returns:
        The picture (H, W, 3) uint8, and a row a box: class, left, top, right, bottom in pixels.
    """
    picture = rng.normal(125, 8, (height, width, 3))
    rows = []
    for _ in range(rng.integers(1, 4)):
        sides = rng.integers(min(height, width) // 8, min(height, width) // 4, 2)
        left, top = rng.integers(0, [width, height] - sides)
        right, bottom = left + sides[0], top + sides[1]
        colour = rng.integers(3)
        picture[top:bottom, left:right] = COLOURS[colour] + rng.normal(0, 8, 3)
        rows = [row for row in rows if not _covers((left, top, right, bottom), row[1:])]
        rows.append((colour, left, top, right, bottom))
    return picture.clip(0, 255).astype(np.uint8), np.array(rows)


def _covers(box: tuple, other: tuple) -> bool:
    """Tell whether the middle of another box lies in a box."""
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x < box[2] and box[1] <= y < box[3]


def loss(raw: Tensor, wanted: list[np.ndarray], stride: int) -> Tensor:
    """Compare the raw output (N, 4 + classes, H, W) with the boxes of each picture."""
    sides, scores = functional.softplus(raw[:, :4]), raw[:, 4:]
    classes, lost = torch.zeros_like(scores), raw.new_zeros(())
    centres = (torch.arange(raw.shape[2]) + 0.5) * stride
    for n, rows in enumerate(wanted):
        for colour, left, top, right, bottom in rows:
            inner = [
                _near(centres, low, high, stride) for low, high in ((top, bottom), (left, right))
            ]
            y, x = (place.flatten() for place in torch.meshgrid(*inner, indexing="ij"))
            classes[n, colour, y, x] = 1
            ends = [centres[x] - left, centres[y] - top, right - centres[x], bottom - centres[y]]
            lost = lost + functional.smooth_l1_loss(sides[n, :, y, x], torch.stack(ends) / stride)
    found = functional.binary_cross_entropy_with_logits(scores, classes, reduction="sum")
    return (found + 8 * lost) / len(wanted)


def _near(centres: Tensor, low: float, high: float, stride: int) -> Tensor:
    """Give the cells whose centre is within one stride of the middle."""
    middle = (low + high) / 2
    return ((centres - middle).abs() < stride).nonzero().flatten()


def main() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = YOLO().train()
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        pictures, boxes = zip(*[draw(SIDE, SIDE, rng) for _ in range(BATCH)], strict=True)
        optimiser.zero_grad()
        light = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
        lost = loss(network(light), list(boxes), 8)
        lost.backward()
        optimiser.step()
        schedule.step()
    said = {"task": "detect", "imgsz": SIDE}
    torch.save({"model": None, "ema": network.eval().half(), "train_args": said}, "best.pt")
    folder = Path("pictures")
    folder.mkdir(exist_ok=True)
    for number in range(32):
        Image.fromarray(draw(SIDE, SIDE, rng)[0]).save(folder / f"{number:02}.png")
    Image.fromarray(draw(120, 160, rng)[0]).save("picture.png")
    print(f"loss {lost.item():.2f} after {STEPS} steps: best.pt, pictures/, picture.png")


if __name__ == "__main__":
    main()

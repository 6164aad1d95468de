"""Train the U-Net for some seconds on drawn shapes: writes unet.pth and picture.png."""

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from segment import network_input
from unet import UNet

STEPS, BATCH, SIDE = 60, 8, 64
DARK, BRIGHT = (20, 80), (170, 240)


def draw(height: int, width: int, shapes: int, rng: np.random.Generator) -> tuple:
    """Draw discs and squares on noise: the picture (H, W, 3) uint8, and where they are (H, W)."""
    y, x = np.mgrid[:height, :width]
    shade = rng.uniform(100, 130, 3) + 15 * (x / width + y / height)[..., None]
    mask = np.zeros((height, width), bool)
    for _ in range(shapes):
        radius = rng.uniform(0.1, 0.2) * min(height, width)
        middle = rng.uniform(radius, [height - radius, width - radius])
        dy, dx = np.abs(y - middle[0]), np.abs(x - middle[1])
        shape = np.hypot(dy, dx) < radius if rng.integers(2) else np.maximum(dy, dx) < 0.8 * radius
        shade[shape] = rng.uniform(*DARK if rng.integers(2) else BRIGHT, 3)
        mask |= shape
    picture = shade + rng.normal(0, 10, shade.shape)
    return picture.clip(0, 255).astype(np.uint8), mask


def batch(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw pictures (N, 3, 64, 64) as the network takes them, and masks (N, 64, 64) int64."""
    drawn = [draw(SIDE, SIDE, 3, rng) for _ in range(BATCH)]
    pictures = np.concatenate([network_input(picture) for picture, _ in drawn])
    return torch.from_numpy(pictures), torch.from_numpy(np.stack([m for _, m in drawn])).long()


def main() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = UNet().train()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(STEPS):
        pictures, masks = batch(rng)
        optimiser.zero_grad()
        loss = functional.cross_entropy(network(pictures), masks)
        loss.backward()
        optimiser.step()
    torch.save(network.state_dict(), "unet.pth")
    Image.fromarray(draw(160, 240, 5, rng)[0]).save("picture.png")
    print(f"loss {loss.item():.2f} after {STEPS} steps: unet.pth, picture.png")


if __name__ == "__main__":
    main()

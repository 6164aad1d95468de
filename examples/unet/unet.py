"""A small U-Net that tells shapes from their background, with SimAM in its decoder."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SimAM(nn.Module):
    """SimAM as its paper has it; x and the result are (N, C, H, W)."""

    def __init__(self, e_lambda: float = 1e-4) -> None:
        super().__init__()
        self.e_lambda = e_lambda

    def forward(self, x: Tensor) -> Tensor:
        """Scale every pixel by its gate."""
        n = x.shape[2] * x.shape[3] - 1
        d = (x - x.mean((2, 3), keepdim=True)).pow(2)
        variance = d.sum((2, 3), keepdim=True) / n
        return x * torch.sigmoid(d / (4 * (variance + self.e_lambda)) + 0.5)


def convolve(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """Make a step of the encoder."""
    conv = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())


def attend(before: int, after: int) -> nn.Sequential:
    """Make a step of the decoder: SimAM stands before the batch norm."""
    conv = nn.Conv2d(before, after, 3, 1, 1, bias=False)
    return nn.Sequential(conv, SimAM(), nn.BatchNorm2d(after), nn.ReLU())


class UNet(nn.Module):
    """Pictures (N, 3, H, W) in, scores of background and shape (N, 2, H, W) out.

    H and W are multiples of 4.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.middle = convolve(3, 8), convolve(8, 12, 2)
        self.coarse = convolve(12, 16, 2)
        self.up, self.out = attend(16 + 12, 12), attend(12 + 8, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        fine = self.fine(x)
        middle = self.middle(fine)
        up = self.up(torch.cat([_twice(self.coarse(middle)), middle], 1))
        scores: Tensor = self.head(self.out(torch.cat([_twice(up), fine], 1)))
        return scores


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")

"""A small detector with SimAM, of the structure that ultralytics' networks have."""

import torch
from torch import Tensor, nn


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


def conv(before: int, after: int, stride: int = 2) -> nn.Sequential:
    """Make a step of the backbone, with the batch norm of YOLO's."""
    layer = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after, eps=1e-3), nn.SiLU())


class Detect(nn.Module):
    """Boxes and scores of every cell of the map (N, C, H, W).

    In training the raw (N, 4 + classes, H, W); else the decoded (N, 4 + classes, H*W), centre x and
    y, width, height in pixels, then scores 0 to 1, alone or, until `export` is set, with the raw.
    """

    export = False

    def __init__(self, channels: int, classes: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.layer = nn.Conv2d(channels, 4 + classes, 1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Detect."""
        raw: Tensor = self.layer(x)
        if self.training:
            return raw
        left, top, right, bottom = nn.functional.softplus(raw[:, :4]).flatten(2).unbind(1)
        column, row = self.centres(x)
        boxes = torch.stack(
            [column + (right - left) / 2, row + (bottom - top) / 2, left + right, top + bottom], 1
        )
        decoded = torch.cat([boxes * self.stride, raw[:, 4:].sigmoid().flatten(2)], 1)
        return decoded if self.export else (decoded, raw)

    def centres(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give column and row (H*W) of every cell's centre, in cells."""
        rows, columns = (torch.arange(n, device=x.device) + 0.5 for n in x.shape[2:])
        row, column = torch.meshgrid(rows, columns, indexing="ij")
        return column.flatten(), row.flatten()


class YOLO(nn.Module):
    """Pictures (N, 3, H, W) of 0 to 1 in; H and W are multiples of the stride."""

    def __init__(self) -> None:
        super().__init__()
        self.names = {0: "red", 1: "green", 2: "blue"}
        self.stride = torch.tensor([8.0])
        self.model = nn.Sequential(
            conv(3, 8),
            conv(8, 16),
            SimAM(),
            conv(16, 32),
            SimAM(),
            conv(32, 32, 1),
            Detect(32, len(self.names), 8),
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Detect."""
        found: Tensor | tuple[Tensor, Tensor] = self.model(x)
        return found

"""Stand in for somebody else: a network with a SimAM of its own, exported through TorchScript.

Writes theirs.pth and theirs.onnx. The weights are drawn; the batch norms have seen noise.
"""

import warnings

import torch
from torch import Tensor, nn


class SimAMBlock(nn.Module):
    """SimAM as many write it: `channels` is taken and not used, lambda has another name."""

    def __init__(self, channels: int, lam: float = 5e-4) -> None:
        super().__init__()
        self.act, self.lam = nn.Sigmoid(), lam

    def forward(self, x: Tensor) -> Tensor:
        """Scale every pixel of (N, C, H, W) by its gate."""
        _, _, h, w = x.size()
        d = x - x.mean(dim=[2, 3], keepdim=True)
        y = d * d / (4 * ((d * d).sum(dim=[2, 3], keepdim=True) / (h * w - 1) + self.lam)) + 0.5
        return x * self.act(y)


class Classifier(nn.Module):
    """Pictures (N, 3, 48, 48) to the scores of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        steps = [self._step(*widths) for widths in ((3, 16), (16, 32), (32, 32))]
        self.body, self.head = nn.Sequential(*steps), nn.Linear(32, 10)

    def _step(self, before: int, after: int) -> nn.Sequential:
        conv = nn.Conv2d(before, after, 3, 2, 1)
        return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU(), SimAMBlock(after))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        scores: Tensor = self.head(self.body(x).mean(dim=[2, 3]))
        return scores


def main() -> None:
    torch.manual_seed(0)
    network = Classifier()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(16, 3, 48, 48))
    torch.save(network.eval().state_dict(), "theirs.pth")
    warnings.simplefilter("ignore", DeprecationWarning)  # of this exporter, which is the point
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, 48, 48),),
        "theirs.onnx",
        dynamo=False,
        opset_version=14,
        input_names=["images"],
        output_names=["scores"],
        dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
    )
    print("theirs.pth, theirs.onnx")


if __name__ == "__main__":
    main()

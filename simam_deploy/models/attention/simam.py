"""SimAM as a torch module of plain operations, and how our own export makes one node of it."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from simam_deploy.op import contract


def simam(x: Tensor, e_lambda: float) -> Tensor:
    """Apply SimAM to `x` of shape (N, C, H, W), any floating dtype, which the result keeps.

    The formula and its source stand in `simam_deploy.op.contract`.
    """
    d2 = (x - x.mean(dim=(2, 3), keepdim=True)).square()
    v = d2.sum(dim=(2, 3), keepdim=True) / (x.shape[2] * x.shape[3] - 1)
    return x * torch.sigmoid(d2 / (4 * (v + e_lambda)) + 0.5)


class SimAM(nn.Module):
    """The attention module, without parameters or buffers.

    Input and output: (N, C, H, W), any floating dtype, H*W >= 2. Over each plane (H, W), with
    mean m (Yang et al., "SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural
    Networks", ICML 2021):

        d = (x - m)^2;  y = x sigmoid(d / (4 (sum(d) / (H*W - 1) + e_lambda)) + 0.5)

    It is plain operations to whoever traces it: torch.export, torch.onnx.export, TorchScript and
    torch.compile need nothing of this package to run what they make of it.

    Args:
        e_lambda: The regulariser lambda, in units of x^2.

    Raises:
        ValueError: `e_lambda` is negative or not finite.
    """

    def __init__(self, e_lambda: float = contract.DEFAULT_LAMBDA) -> None:
        super().__init__()
        if not (math.isfinite(e_lambda) and e_lambda >= 0):
            raise ValueError(f"e_lambda must be finite and not negative, got {e_lambda}")
        self.e_lambda = float(e_lambda)

    def extra_repr(self) -> str:
        """Show lambda when the module is printed."""
        return f"e_lambda={self.e_lambda:g}"

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` scaled by its gates, which lie from sigmoid(0.5) = 0.6225 to 1.

        Args:
            x: (N, C, H, W), any floating dtype.

        Returns:
            The same shape and dtype.
        """
        return simam(x, self.e_lambda)


@contextlib.contextmanager
def as_nodes(model: nn.Module) -> Iterator[None]:
    """Have `torch.onnx.export` make one `simam::SimAM` node of each SimAM of `model`, in the block.

    The graph passes lower that node afterwards: to trace the formula costs 11 nodes a site, a
    Shape chain where a dimension is dynamic, and four times the export time of a ResNet-50 (17 s
    against 4 s).
    """
    sites = [module for module in model.modules() if isinstance(module, SimAM)]
    for site in sites:
        site.forward = functools.partial(_node, site)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for site in sites:
            del site.forward


def _node(site: SimAM, x: Tensor) -> Tensor:
    node: Tensor = torch.onnx.ops.symbolic(
        f"{contract.DOMAIN}::{contract.OP_TYPE}",
        (x,),
        {contract.LAMBDA_ATTRIBUTE: site.e_lambda},
        dtype=x.dtype,
        shape=x.shape,
        version=contract.OP_VERSION,
    )
    return node

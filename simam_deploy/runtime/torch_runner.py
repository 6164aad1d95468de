"""Runs an eval-mode nn.Module: the reference that exports are held against."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.specs import TensorSpec
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.runtime.protocol import Closing

ULP = 2**-23
"""One unit in the last place of a float32, relative to it."""
_ROUNDING_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear, SimAM)


def flatten(result: Any) -> list[torch.Tensor]:
    """List the tensors in a model's result, however nested, in the order that torch.onnx has."""
    leaves = torch.utils._pytree.tree_leaves(result)
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


class TorchRunner(Closing):
    """A module on the CPU in its weights' own dtype, which takes its inputs by position.

    Args:
        model: In eval mode.
        inputs: The names and dtypes of its inputs, in order.
        outputs: The names of its outputs, in the order of `flatten`.
        rounding_noise: Multiplies every output of a layer by 1 + u, u drawn evenly from
            [-rounding_noise, rounding_noise].
            The draws are the same in every runner.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[str, ...],
        rounding_noise: float = 0.0,
    ) -> None:
        self.name = f"PyTorch {torch.__version__}"
        self.inputs = inputs
        self.outputs = tuple(TensorSpec(name, "float32", ()) for name in outputs)
        self._model: nn.Module | None = model
        self._noise = rounding_noise

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Compute every output, keyed by name."""
        assert self._model is not None, "the runner is closed"
        with torch.inference_mode(), _shaken(self._model, self._noise):
            result = self._model(*(torch.from_numpy(feeds[spec.name]) for spec in self.inputs))
        names = (spec.name for spec in self.outputs)
        return {name: t.numpy() for name, t in zip(names, flatten(result), strict=True)}

    def close(self) -> None:
        """Let go of the module."""
        self._model = None


@contextlib.contextmanager
def _shaken(model: nn.Module, noise: float) -> Iterator[None]:
    """Disturb what every layer that rounds (convolution, linear, SimAM) hands on."""
    generator = torch.Generator().manual_seed(0)

    def disturb(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        draw = torch.rand(output.shape, generator=generator, dtype=output.dtype)
        return output * (1 + noise * (2 * draw - 1))

    layers = [m for m in model.modules() if isinstance(m, _ROUNDING_LAYERS)] if noise else []
    hooks = [layer.register_forward_hook(disturb) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

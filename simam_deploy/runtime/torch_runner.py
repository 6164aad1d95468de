"""Runs an eval-mode nn.Module: the reference that exports are held against."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import nn

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.specs import TensorSpec
from simam_deploy.runtime.protocol import Closing
from simam_deploy.runtime.results import flatten


class TorchRunner(Closing):
    """A module on the CPU in its weights' own dtype, which takes its inputs by position.

    Args:
        model: In eval mode.
        inputs: The names and dtypes of its inputs, in order.
        outputs: The names of its outputs, in the order of `flatten`.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[str, ...],
    ) -> None:
        self.name = f"PyTorch {torch.__version__}"
        self.inputs = inputs
        self.outputs = tuple(TensorSpec(name, "float32", ()) for name in outputs)
        self._model: nn.Module | None = model

    @property
    def model(self) -> nn.Module:
        """The module, until the runner is closed."""
        assert self._model is not None, "the runner is closed"
        return self._model

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Compute every output, keyed by name.

        The module works on copies: some write into their input.
        """
        with torch.inference_mode():
            result = self.model(*(torch.tensor(feeds[spec.name]) for spec in self.inputs))
        names = (spec.name for spec in self.outputs)
        return {name: t.numpy() for name, t in zip(names, flatten(result), strict=True)}

    def compiled(self) -> TorchRunner:
        """Give a runner of the same module, which torch.compile compiles at each shape's first run.

        Every shape has kernels of its own, as a graph of fixed sizes has.
        """
        assert self._model is not None, "the runner is closed"
        other = copy.copy(self)
        other.name = f"{self.name}, torch.compile"
        other._model = cast("nn.Module", torch.compile(self._model, dynamic=False))
        return other

    def close(self) -> None:
        """Let go of the module."""
        self._model = None
